/// What every rank measured, brought together on rank 0.
#pragma once

#include <vector>

#include "partita/run/training.hpp"

namespace partita::run {

/// Seconds by phase of one step on one rank. Waiting in a reduction is split by what the ranks saw together:
/// the rank that arrives last waits only while data moves, so the shortest wait of all is `exposed_transfer`
/// and what a rank waits longer is `straggler`.
struct PhaseSeconds {
  double load = 0, forward = 0, backward = 0, update = 0;
  double exposed_transfer = 0, dependency = 0, straggler = 0, other = 0;
};

/// One step of the run; `phases` and `rank_seconds` by rank.
struct GatheredStep {
  double loss = 0, seconds = 0, learning_rate = 0;  ///< seconds: of the slowest rank
  std::int64_t samples = 0;
  std::vector<double> rank_seconds;
  std::vector<PhaseSeconds> phases;
};

/// Steps from `first` on, on rank 0; nothing elsewhere. Collective over `world`.
std::vector<GatheredStep> gather_steps(comm::Communicator& world, const std::vector<StepRow>&,
                                       std::size_t first);

}  // namespace partita::run
