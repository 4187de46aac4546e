/// What every instruction and every round of a transfer costs. An event model asks for them; where they come
/// from, a machine or a study of schedules, it does not know.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <variant>
#include <vector>

#include "partita/cost/kernel_times.hpp"
#include "partita/machine/machine.hpp"
#include "partita/step/roles.hpp"
#include "partita/step/rounds.hpp"

namespace partita::sim {

using machine::Picoseconds;

/// A message round of a rank. Ranks are those of the grid; an empty half has none.
struct TimedMessages {
  std::optional<int> send_to, receive_from;
  machine::MessageTime sent;
  kernels::Bytes sent_bytes{}, received_bytes{};
  Picoseconds receive = 0, combine = 0;  ///< of this core, once the message is there: to take it, to add it
};

/// A window round of a rank.
struct TimedAccess {
  std::vector<int> members;  ///< ranks of the grid, this one among them
  machine::WindowTime time;
};

/// What nobody sees the rounds of: from when all members have started it.
struct TimedWhole {
  Picoseconds duration = 0;
};

using TimedRound = std::variant<TimedMessages, TimedAccess, TimedWhole>;

/// As how many rounds of messages it counts: in a window a rank hears of each other member.
inline std::int64_t weight_of(const TimedRound& round) {
  const auto* const access = std::get_if<TimedAccess>(&round);
  return access ? std::max<std::int64_t>(1, std::ssize(access->members) - 1) : 1;
}

/// Of what the costs of a machine are made: from it the depths that do not ask for every rank learn which
/// ranks are alike, and full depth which links messages share. Instructions of ranks of a role that are of
/// one part of the machine, have as many samples and one speed cost the same. Machine and programs outlive
/// it.
struct Setting {
  const machine::Machine* machine = nullptr;
  const step::ProgramsByRank* programs = nullptr;
  std::int64_t batch = 1;
  step::Site site;
  double crowding = 1;        ///< as in `cost::Execution`
  std::vector<double> speed;  ///< by rank, of what it computes; empty: all 1

  /// In what ranks of a role can differ whose micro-batches have as many samples.
  struct Pace {
    int part = 0;  ///< of the machine
    double speed = 1;
    friend auto operator<=>(const Pace&, const Pace&) = default;
  };
  [[nodiscard]] Pace pace_of(int rank) const {
    return {machine->part_of(rank), speed.empty() ? 1 : speed[static_cast<std::size_t>(rank)]};
  }
};

/// What a core takes to start a transfer, to wait for one beyond its end, to look after those under way,
/// between two steps; and who moves its transfers on.
struct Core {
  Picoseconds start = 0, wait = 0, poll = 0, step = 0;
  machine::Progress progress = machine::Progress::independent;
};

struct Costs {
  /// Of a compute or copy instruction of a rank (`start` and `wait` are never asked for).
  std::function<Picoseconds(int rank, const step::Instruction&)> instruction;
  /// The rounds of a rank's transfer. Both halves of a message and all members of a collective have rounds
  /// that fit each other.
  std::function<std::vector<TimedRound>(int rank, const step::Transfer&)> rounds;
  Core core;
  std::vector<Core> cores = {};         ///< by rank, where they differ
  std::optional<Setting> setting = {};  ///< where they are a machine's

  [[nodiscard]] const Core& core_of(int rank) const {
    return cores.empty() ? core : cores[static_cast<std::size_t>(rank)];
  }
  /// Whether the rank's core moves transfers on; whether any does.
  [[nodiscard]] bool polls(int rank) const { return core_of(rank).progress == machine::Progress::polled; }
  [[nodiscard]] bool any_polls() const;
};

/// Costs of a batch of `batch` samples at a site on a machine, on which every rank runs its program alike.
/// Programs and machine outlive the costs.
Costs costs_on(const machine::Machine&, const step::ProgramsByRank&, std::int64_t batch, const step::Site&,
               const cost::Execution& = {});
/// The same for one who asks often: with times of kernels on the same machine.
Costs costs_on(const machine::Machine&, const step::ProgramsByRank&, std::int64_t batch, const step::Site&,
               const cost::JobTimes&);

/// What takes so long on a rank that is this many times as fast as the machine's.
Picoseconds at_speed(Picoseconds, double speed);

/// The same where ranks compute at different speeds: 0.5 takes twice as long.
Costs with_speeds(Costs, std::vector<double> by_rank);

}  // namespace partita::sim
