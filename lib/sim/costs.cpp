/// Rounds of a transfer, with what a machine takes for each of their parts.
#include "partita/sim/costs.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "partita/cost/time.hpp"
#include "partita/machine/transfer_times.hpp"

namespace partita::sim {
namespace {

using kernels::Bytes;

class Timing {
 public:
  Timing(const machine::Machine& machine, const step::Program& program, const step::Transfer& transfer,
         int rank, std::int64_t batch, const step::Site& site, double crowding)
      : times_(machine, crowding),
        transfer_(step::resolve(program, transfer, rank, batch, site)),
        rank_(rank),
        part_(machine.part_of(rank)),
        group_(topology::group_of(program.grid, rank, transfer.axis)) {}

  [[nodiscard]] std::vector<TimedRound> rounds() const {
    const auto& [spec, at] = transfer_;
    if (is_vendors(spec)) return {vendors()};
    std::vector<TimedRound> timed;
    for (const auto& round : rounds_of(spec, at))
      std::visit([&](const auto& r) { add(timed, r); }, round);
    return timed;
  }

 private:
  [[nodiscard]] Bytes bytes(std::int64_t elements) const {
    return bytes_of(transfer_.spec.type, kernels::Elements(elements));
  }
  [[nodiscard]] int grid_rank(int member) const { return group_[static_cast<std::size_t>(member)]; }

  /// What a vendor does counts as one message of what it is said to send.
  [[nodiscard]] TimedWhole vendors() const {
    const auto sent = traffic_of(transfer_.spec, transfer_.at).modelled_wire_bytes.value_or(Bytes(0));
    const auto time = times_.message(group_.front(), group_.back(), sent);
    return {.duration = time.send + time.latency + time.bytes + time.receive};
  }

  void add(std::vector<TimedRound>& timed, const collective::MessageRound& round) const {
    TimedMessages messages;
    if (round.send_to >= 0 && !round.send.empty()) {
      messages.send_to = grid_rank(round.send_to);
      messages.sent_bytes = bytes(round.send.size());
      messages.sent = times_.message(rank_, *messages.send_to, messages.sent_bytes);
    }
    if (round.receive_from >= 0 && !round.receive.empty()) {
      messages.received_bytes = bytes(round.receive.size());
      messages.receive_from = grid_rank(round.receive_from);
      messages.receive = times_.message(*messages.receive_from, rank_, messages.received_bytes).receive;
      if (round.combine != collective::Combine::copy)
        messages.combine = times_.combine(messages.received_bytes, part_);
    }
    if (messages.send_to || messages.receive_from) timed.emplace_back(messages);
  }

  void add(std::vector<TimedRound>& timed, const collective::WindowRound& round) const {
    TimedAccess access{
        .time = times_.window(bytes(round.staged()), bytes(round.loaded()), bytes(round.stored()), part_)};
    for (const int member : round.members)
      access.members.push_back(grid_rank(member));
    timed.emplace_back(std::move(access));
  }

  machine::TransferTimes times_;
  step::ResolvedTransfer transfer_;
  int rank_, part_;
  std::vector<int> group_;
};

/// Times of instructions, which ranks of a role share that are of one part and have as many samples.
class RoleTimes {
 public:
  RoleTimes(cost::JobTimes kernels, std::int64_t batch) : kernels_(std::move(kernels)), batch_(batch) {}

  Picoseconds of(int part, const step::Program& program, const step::Instruction& instruction,
                 std::int64_t samples) {
    const auto& all = program.instructions;
    auto& times = times_[{part, &program, samples}];
    times.resize(all.size());
    auto& time = times[static_cast<std::size_t>(&instruction - all.data())];
    if (!time) {
      const auto known =
          of_.try_emplace(std::pair(part, &program), kernels_.of_part(part), program, batch_).first;
      time = known->second.of(instruction, samples).time;
    }
    return *time;
  }

 private:
  cost::JobTimes kernels_;
  std::int64_t batch_;
  std::map<std::pair<int, const step::Program*>, cost::ProgramTimes> of_;
  std::map<std::tuple<int, const step::Program*, std::int64_t>, std::vector<std::optional<Picoseconds>>>
      times_;
};

Core core_on(const machine::Machine& machine, double crowding) {
  const auto& o = machine.overheads;
  const machine::TransferTimes times(machine, crowding);
  return {.start = times.overhead(o.start_seconds),
          .wait = times.overhead(o.wait_seconds),
          .poll = times.overhead(o.poll_seconds),
          .step = times.overhead(o.step_seconds),
          .progress = machine.progress};
}

std::vector<Core> cores_on(const machine::Machine& machine, std::size_t ranks, double crowding) {
  std::vector<Core> cores;
  if (!machine.parts.empty())
    for (std::size_t rank = 0; rank < ranks; ++rank)
      cores.push_back(core_on(machine.of_rank(static_cast<int>(rank)), crowding));
  return cores;
}

}  // namespace

Costs costs_on(const machine::Machine& machine, const step::ProgramsByRank& programs, std::int64_t batch,
               const step::Site& site, const cost::Execution& execution) {
  return costs_on(machine, programs, batch, site, cost::JobTimes(machine, execution, std::ssize(programs)));
}

Costs costs_on(const machine::Machine& machine, const step::ProgramsByRank& programs, std::int64_t batch,
               const step::Site& site, const cost::JobTimes& kernels) {
  const auto program_of = [&programs](int rank) -> const step::Program& {
    return *programs[static_cast<std::size_t>(rank)];
  };
  const double crowding = kernels.execution().crowding;
  return {.instruction =
              [times = std::make_shared<RoleTimes>(kernels, batch), &machine, program_of, batch](
                  int rank, const step::Instruction& instruction) {
                const auto& program = program_of(rank);
                return times->of(machine.part_of(rank), program, instruction,
                                 program.samples_of(instruction.microbatch, rank, batch));
              },
          .rounds =
              [&machine, program_of, batch, site, crowding](int rank, const step::Transfer& transfer) {
                return Timing(machine, program_of(rank), transfer, rank, batch, site, crowding).rounds();
              },
          .core = core_on(machine, crowding),
          .cores = cores_on(machine, programs.size(), crowding),
          .setting = Setting{.machine = &machine,
                             .programs = &programs,
                             .batch = batch,
                             .site = site,
                             .crowding = crowding}};
}

bool Costs::any_polls() const {
  const auto polls = [](const Core& core) { return core.progress == machine::Progress::polled; };
  return cores.empty() ? polls(core) : std::ranges::any_of(cores, polls);
}

Picoseconds at_speed(Picoseconds time, double speed) {
  return speed == 1 ? time : static_cast<Picoseconds>(std::llround(static_cast<double>(time) / speed));
}

Costs with_speeds(Costs costs, std::vector<double> by_rank) {
  costs.instruction = [as_machine = std::move(costs.instruction), by_rank](
                          int rank, const step::Instruction& instruction) {
    return at_speed(as_machine(rank, instruction), by_rank[static_cast<std::size_t>(rank)]);
  };
  if (costs.setting) costs.setting->speed = std::move(by_rank);
  return costs;
}

}  // namespace partita::sim
