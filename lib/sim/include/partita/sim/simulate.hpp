/// When every instruction of every rank begins and ends: an event model of step programs, with the executor's
/// semantics and without its code.
///
/// Instructions follow each other in program order. Every transfer of a rank has a clock of its own, which
/// its rounds move on; a `wait` lasts until that clock has come to the end of the last round. The rules are
/// in docs/predict.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "partita/sim/costs.hpp"
#include "partita/sim/critical_path.hpp"

namespace partita::sim {

struct Span {
  Picoseconds begin = 0, end = 0;
  friend bool operator==(const Span&, const Span&) = default;
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
  friend bool operator==(const RankStep&, const RankStep&) = default;
};

/// How much of a simulation is worked out rank by rank; where they meet all depths have the same times.
enum class Depth {
  automatic,  ///< full up to 64 ranks; else classes, or, where these would leave something out, full if it
              ///< can
  full,       ///< every rank, every round, as events
  plane,      ///< every rank; each stage's program is walked once, for all its ranks at a time
  classes,    ///< one of all ranks that are alike, with all that the machine has; else `unshared`
  unshared    ///< one of all ranks that are alike, or `plane` where few are, with what `plane` leaves out
};
std::string_view to_string(Depth);

/// What a depth leaves out of a machine that has it.
struct LeftOut {
  bool meetings = false;  ///< messages that meet: each is as if alone on its links, and keeps no gaps
  bool polling = false;   ///< cores that move transfers on: those move on by themselves
  [[nodiscard]] bool any() const { return meetings || polling; }
};

/// What one direction of a link carried.
struct LinkUse {
  std::string name;
  Picoseconds busy = 0;  ///< while messages were on it
  kernels::Bytes bytes{};
  double bytes_per_second = 0;  ///< that it carries at most
  friend bool operator==(const LinkUse&, const LinkUse&) = default;
};

struct Simulation {
  std::vector<std::vector<RankStep>> steps;  ///< by step and rank; the first begins at 0
  step::SteadySteps steady;
  Depth depth = Depth::full;  ///< in which it was made
  /// Where something is, no instruction ends later than with it.
  LeftOut left_out;
  /// Of `classes`: the class of each rank, numbered by their first ranks. Else empty.
  std::vector<int> class_of;
  /// In all steps, by those links that carried something, where the machine says which a message crosses;
  /// of `classes` without those that hold nobody back (`machine::Link::is_wide`).
  std::vector<LinkUse> links;
  /// Of asynchronous servers, in the order of their ranks: the workers whose pushes they took, one after the
  /// other.
  std::vector<std::vector<int>> served;
  /// Of `full`: what the last step hangs on, from when the last rank had ended the one before to when the
  /// last rank has ended it: `step_duration` in all, where steps are even.
  CriticalPath critical_path;

  /// That were simulated by themselves, not by a representative.
  [[nodiscard]] std::int64_t running_ranks() const;
  /// When the last rank ends a step.
  [[nodiscard]] Picoseconds end_of(int step) const;
  [[nodiscard]] Picoseconds makespan() const { return end_of(static_cast<int>(steps.size()) - 1); }
  /// What the busiest link takes for the bytes of a step, on average of all: no step is shorter for long.
  [[nodiscard]] Picoseconds of_busiest_link() const;
  /// Of a step in the steady state, the mean of a period. Where steps are alike, on the rank that takes
  /// longest from end to end, but not less than the busiest link takes; else between the last ends. Wants a
  /// period and two steps.
  [[nodiscard]] Picoseconds step_duration() const;
  /// Idle time of the last period ÷ (ranks × its time). Wants as much.
  [[nodiscard]] double idle_fraction() const;
};

struct SimulationOptions {
  Depth depth = Depth::full;
  /// Of plane and classes: the ranks whose instructions have spans; those of others are empty.
  std::vector<int> spans_of = {};
  /// What kinds of steps these are, as many as there are; without kinds, as the programs' cadence has them.
  step::SteadySteps steady = {};
};

/// `steps` successive steps; instructions that a step is without begin and end where the one before them
/// ended. A rank begins the next one as soon as it has ended one. Programs that deadlock are a broken
/// contract. Plane and classes need the costs of a machine, and programs that end even if every message waits
/// for its receiver.
Simulation simulate(const step::ProgramsByRank&, const Costs&, int steps, const SimulationOptions& = {});

/// Where only events know all of a machine, full depth is asked up to so many ranks, and it and classes up to
/// so many rounds of those ranks that run.
inline constexpr std::size_t most_full_ranks = 4096;
inline constexpr std::int64_t most_full_rounds = 4'000'000;

/// What of the machine only events know: full depth, and classes of few enough.
LeftOut known_to_events_alone(const Costs&);

/// Of the transfers of all ranks in a step, each by its `weight_of`, where ranks of a program have as many:
/// for each, full depth has events.
std::int64_t rounds_of_step(const step::ProgramsByRank&, const Costs&);
/// The same of some ranks.
std::int64_t rounds_of_step(const step::ProgramsByRank&, const Costs&, const std::vector<int>& ranks);

}  // namespace partita::sim
