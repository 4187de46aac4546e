/// Which split of a training is the best one on a machine: candidates are bounded, and simulated unless their
/// bound says that they cannot win.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "partita/predict/candidates.hpp"

namespace partita::predict {

/// What decides between two plans: the time of a step, of all steps of an epoch (whose last one may have
/// fewer samples), or the largest rank's memory.
enum class Objective { step, epoch, memory };

struct SearchOptions {
  Objective objective = Objective::step;
  std::optional<kernels::Bytes> memory;  ///< that a rank has
  std::size_t top = 10;                  ///< plans that are simulated whatever their bound
  std::size_t pipelines = 0;             ///< the same of plans that differ in more than placement and cut
  /// Placements of a grid, and cuts of a pipeline, that are candidates.
  std::size_t choices = default_choices;
  /// Of ranks that are not as fast as the machine's, as in `Supposed`; stages are cut by them.
  std::map<int, double> speed = {};
  std::int64_t samples = 0;  ///< of an epoch, where it decides
  /// Rounds of transfers in all steps that are simulated by events, beyond 64 ranks and where only these know
  /// all of the machine; of ranks that are alike those of one count. The other plans remain `unshared`.
  std::int64_t most_full_rounds = 500'000;
  /// Instructions, and rounds of their transfers, of all ranks in a step of the plans that are simulated, and
  /// of one rank of each stage of those that are bounded by all stages, beyond 64 ranks. The plans for which
  /// no room is left remain `bounded`; the first has room in any case.
  std::int64_t most_length = 100'000'000;
  [[nodiscard]] Shares shares() const {
    return memory || objective == Objective::memory ? Shares::all : Shares::as_the_run_says;
  }
};

/// Why a candidate is not the best.
enum class Fate {
  simulated,   ///< its predicted time stands against the others'
  unshared,    ///< simulated without what events alone know, which can make it slower but not faster
  bounded,     ///< not simulated: one of its ranks takes as long as the best or longer, or no room was left
  too_large,   ///< needs more memory than a rank has
  impossible,  ///< the run refuses it
};

struct Outcome {
  Candidate candidate;
  /// Where it is what people take without a search: "data alone", "tensor within a node"; up to 64 ranks
  /// simulated whatever its bound.
  std::string_view known_as;
  Fate fate = Fate::simulated;
  /// What one of its ranks takes for a step with its transfers, were no other late: says what is looked at
  /// first, and is no bound.
  double alone_seconds = 0;
  double bound_seconds = 0;  ///< that no step is shorter than; what is unshared takes at least its time
  std::optional<double> step_seconds;
  /// Of an epoch, where it decides.
  double epoch_bound_seconds = 0;
  std::optional<double> epoch_seconds;
  double idle_fraction = 0, bubble_fraction = 0;
  kernels::Bytes memory{};  ///< of the rank that has most; where it decides, or the plan was simulated
  std::string why;          ///< the run refuses it
};

struct Plans {
  std::vector<Outcome> outcomes;  ///< the best first, then the other simulated ones, then the rest
  /// Whether every candidate that was not simulated has a bound above the best.
  bool is_certain = false;
  /// Where it is not, and nothing is left out: by how much less, as a share of the best, one of them may
  /// take.
  double gap = 0;
  /// What the simulated times leave out: nothing, unless no contender was within the limits of full depth.
  sim::LeftOut left_out;
  bool ranks_share_cores = false;  ///< then times put plans in order, and are not what steps will take
  [[nodiscard]] std::size_t count(Fate) const;
};

/// So many of the simulated plans, or all, to be tried: the best ones that differ in more than placement and
/// cut, since variants of one pipeline share what the model is wrong about; where there are too few, the best
/// of the others. The best first.
std::vector<const Outcome*> contenders(const Plans&, std::size_t most);

Plans search(const config::RunOptions&, int ranks, const machine::Machine&, const collective::AlgorithmTable&,
             const SearchOptions&);

}  // namespace partita::predict
