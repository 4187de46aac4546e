/// When every instruction of every rank begins and ends: an event model of step programs, with the executor's
/// semantics and without its code.
///
/// Instructions follow each other in program order. Every transfer of a rank has a clock of its own, which
/// its rounds move on; a `wait` lasts until that clock has come to the end of the last round. The rules are
/// in docs/predict.md.
#pragma once

#include <vector>

#include "partita/sim/costs.hpp"

namespace partita::sim {

struct Span {
  Picoseconds begin = 0, end = 0;
};

/// One step of one rank. Waiting is split as the executor's record does: until the peer of a message had
/// started it (`dependency`), until the last member of a collective had (`straggler`), and the rest, while
/// data moved (`exposed_transfer`).
struct RankStep {
  std::vector<Span> instructions;
  Picoseconds begin = 0, end = 0;
  Picoseconds busy = 0;      ///< in compute and copy instructions
  Picoseconds progress = 0;  ///< to start transfers, and to move them on between instructions
  Picoseconds dependency = 0, straggler = 0, exposed_transfer = 0;
  [[nodiscard]] Picoseconds idle() const { return dependency + straggler + exposed_transfer; }
};

struct Simulation {
  std::vector<std::vector<RankStep>> steps;  ///< by step and rank; the first begins at 0

  /// When the last rank ends a step.
  [[nodiscard]] Picoseconds end_of(int step) const;
  [[nodiscard]] Picoseconds makespan() const { return end_of(static_cast<int>(steps.size()) - 1); }
  /// Of a step in the steady state: between the ends of the last two. Wants at least three steps.
  [[nodiscard]] Picoseconds step_duration() const;
  /// Idle time of the last step ÷ (ranks × step time). Wants at least three steps.
  [[nodiscard]] double idle_fraction() const;
};

/// `steps` successive steps; a rank begins the next one as soon as it has ended one. Programs that deadlock
/// are a broken contract.
Simulation simulate(const step::ProgramsByRank&, const Costs&, int steps);

}  // namespace partita::sim
