/// How a training scales on a machine: the same split with more and more data ranks.
#pragma once

#include <vector>

#include "partita/predict/search.hpp"

namespace partita::predict {

struct ScalingRow {
  int ranks = 1;
  std::int64_t batch = 0;
  double step_seconds = 0, samples_per_second = 0;
  /// Samples a second of a rank ÷ those of a rank in the first row.
  double efficiency = 1;
  sim::Depth depth = sim::Depth::full;
  sim::LeftOut left_out;
  bool ranks_share_cores = false;
};

/// For `first` ranks, twice as many, and so on up to `last`, those that the run's pipeline and tensor axes
/// divide and whose data ranks have a sample each. The batch is the run's (strong scaling) or, with
/// `train.batch-per-rank`, grows with them (weak scaling).
std::vector<Subject> scaled_subjects(const config::RunOptions&, const machine::Machine&,
                                     const collective::AlgorithmTable&, int first, int last);

/// A row for each of them.
std::vector<ScalingRow> scaling_of(const config::RunOptions&, const Supposed&,
                                   const collective::AlgorithmTable&, int first, int last);

}  // namespace partita::predict
