/// Whether a training under way would be better off with another split, by what its ranks were seen to take.
#pragma once

#include <map>
#include <vector>

#include "partita/predict/search.hpp"

namespace partita::predict {

/// A step of a full batch as the ranks of a training took it: medians.
struct MeasuredStep {
  double seconds = 0;                ///< of the slowest rank
  std::vector<double> busy_seconds;  ///< by rank, without waiting for others
};

/// Whether a step took more or less than was expected, by more than a share `threshold` of it.
bool departs(double measured_seconds, double expected_seconds, double threshold);

/// Seconds of a step in which each rank is busy, as the machine says: it computes, starts transfers, begins
/// anew.
std::vector<double> busy_seconds_of(const Subject&, const Supposed&);

/// The same training on ranks as fast as they were seen to be.
struct Replan {
  std::map<int, double> speed;  ///< of ranks, against the machine's
  double current_seconds = 0;   ///< of a step of the plan under way
  std::vector<Outcome> better;  ///< that take less by more than a move is worth, the best first
};

/// Asks again which split is the best. Whether it moves messages or kernels that keeps a rank busy longer
/// than predicted cannot be seen: all of it is taken for the rank's speed. The candidates train the model
/// that `current` trains: where micro-batches decide that, they have as many.
Replan replan(const config::RunOptions&, const plan::Split& current, const MeasuredStep&,
              const machine::Machine&, const collective::AlgorithmTable&);

}  // namespace partita::predict
