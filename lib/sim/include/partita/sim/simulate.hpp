/// When every instruction of every rank begins and ends if it takes the time that it is said to take: an
/// event model of step programs, with the executor's semantics and without its code.
///
/// Instructions follow each other in program order; `start` takes no time and the transfer runs beside what
/// follows; a transfer completes its cost after the last of its parties has started it; `wait` lasts until
/// then.
#pragma once

#include <functional>
#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::sim {

struct Costs {
  /// Seconds of a compute or copy instruction of a rank (`start` and `wait` are never asked for).
  std::function<double(int rank, const step::Instruction&)> instruction_seconds;
  /// Seconds for which data of a rank's transfer moves, from when all its parties have started it. Each party
  /// is asked for its own.
  std::function<double(int rank, const step::Transfer&)> transfer_seconds;
  /// Sends complete at once; otherwise with their receive (rendezvous).
  bool eager_sends = false;
};

struct Span {
  double begin_seconds = 0, end_seconds = 0;
};

/// One step of one rank. Waiting is split as the executor's record does: until the peer of a message had
/// started it (`dependency`), until the last member of a collective had (`straggler`), and the rest, while
/// data moved (`exposed_transfer`).
struct RankStep {
  std::vector<Span> instructions;
  double busy_seconds = 0;
  double dependency_seconds = 0, straggler_seconds = 0, exposed_transfer_seconds = 0;
  [[nodiscard]] double idle_seconds() const {
    return dependency_seconds + straggler_seconds + exposed_transfer_seconds;
  }
};

struct Simulation {
  std::vector<std::vector<RankStep>> steps;  ///< by step and rank; the first begins at 0

  /// When the last rank ends a step.
  [[nodiscard]] double end_seconds(int step) const;
  [[nodiscard]] double makespan_seconds() const { return end_seconds(static_cast<int>(steps.size()) - 1); }
  /// Of a step in the steady state: between the ends of the last two. Wants at least three steps.
  [[nodiscard]] double step_seconds() const;
  /// Idle time of the last step ÷ (ranks × step time). Wants at least three steps.
  [[nodiscard]] double idle_fraction() const;
};

/// `steps` successive steps; a rank begins the next one as soon as it has ended one. Programs that deadlock
/// are a broken contract.
Simulation simulate(const step::ProgramsByRank&, const Costs&, int steps);

}  // namespace partita::sim
