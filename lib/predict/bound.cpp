/// Walks the programs of a stage's last ranks; cuts that differ share the stages in which they do not.
#include "bound.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "partita/machine/topology.hpp"
#include "partita/machine/transfer_times.hpp"
#include "partita/model/passes.hpp"
#include "partita/step/alike.hpp"

namespace partita::predict {
namespace {

using machine::Picoseconds;

/// Forward and backward, of a sample.
double flops_of_stage(const plan::Split& split, int stage) {
  const auto& [model, plan, batch] = split;
  double flops = 0;
  for (auto k = static_cast<std::size_t>(stage); k + 1 < plan.partition.size();
       k += static_cast<std::size_t>(plan.grid.pipeline))
    for (int l = plan.partition[k]; l < plan.partition[k + 1]; ++l)
      flops += model::passes_over(model, l) * model.layers[static_cast<std::size_t>(l)].forward_flops();
  return flops;
}

/// Of each part of the machine that ranks of a stage are, one with most samples, of these the last.
std::map<int, int> busiest_ranks(const step::Plan& plan, int stage, const machine::Machine& machine) {
  const auto& grid = plan.grid;
  const auto rank_at = [&](int data, int tensor) {
    return topology::rank_of(grid, {.data = data, .pipeline = stage, .tensor = tensor});
  };
  const auto weight_of = [&](int data) {
    return plan.weights.empty() ? 1 : plan.weights[static_cast<std::size_t>(data)];
  };
  if (machine.parts.empty() && plan.weights.empty()) return {{0, rank_at(grid.data - 1, grid.tensor - 1)}};
  std::map<int, int> busiest;
  std::map<int, std::int64_t> most;
  for (int data = 0; data < grid.data; ++data)
    for (int tensor = 0; tensor < grid.tensor; ++tensor) {
      const int rank = rank_at(data, tensor), part = machine.part_of(rank);
      if (weight_of(data) < most[part]) continue;
      most[part] = weight_of(data);
      busiest[part] = rank;
    }
  return busiest;
}

/// What rounds of a rank take if all others come early.
class Early {
 public:
  Early(machine::TransferTimes times, int rank) : times_(times), rank_(rank) {}

  /// A message that waits for its receiver leaves a latency after this one has asked for it, and arrives
  /// another one later.
  Picoseconds operator()(const sim::TimedMessages& round) const {
    Picoseconds sent = 0, received = 0;
    if (round.send_to) sent = round.sent.send + (round.sent.rendezvous ? round.sent.bytes : 0);
    if (round.receive_from) {
      const auto message = times_.message(*round.receive_from, rank_, round.received_bytes);
      if (message.rendezvous) received = 2 * message.latency + message.bytes;
    }
    return std::max(sent, received) + round.receive + round.combine;
  }
  Picoseconds operator()(const sim::TimedAccess& round) const { return round.time.stage + round.time.access; }
  Picoseconds operator()(const sim::TimedWhole& round) const { return round.duration; }

 private:
  machine::TransferTimes times_;
  int rank_;
};

}  // namespace

RankBound::Alone RankBound::alone(const Subject& subject, int rank, std::int64_t batch) const {
  const auto& grid = subject.split.plan.grid;
  const auto program = program_of(subject, topology::coordinate_of(grid, rank));
  const step::ProgramsByRank all(static_cast<std::size_t>(grid.size()), &program);
  const auto costs = sim::costs_on(supposed_.machine, all, batch, subject.site, kernels_);
  const auto& core = costs.core_of(rank);
  const auto known = supposed_.speed.find(rank);
  const double speed = known == supposed_.speed.end() ? 1 : known->second;
  const auto alike = step::alike(program);

  Alone alone{
      .busy = core.step, .time = core.step, .length = {.instructions = std::ssize(program.instructions)}};
  using Transfer = std::pair<Picoseconds, std::int64_t>;  // how long it takes, and its rounds
  std::map<std::pair<int, std::int64_t>, Transfer> transfers;
  base::IdVector<step::TransferId, Picoseconds> ends(program.transfers.size());
  for (const auto& instruction : program.instructions)
    if (instruction.kind == step::Kind::start) {
      const auto id = *instruction.transfer;
      const auto samples = program.samples_of(instruction.microbatch, rank, batch);
      const auto [transfer, is_new] = transfers.try_emplace({alike.transfers[id], samples});
      if (is_new)
        for (const auto& round : costs.rounds(rank, program.transfers[id])) {
          transfer->second.first +=
              std::visit(Early({supposed_.machine, costs.setting->crowding}, rank), round);
          transfer->second.second += sim::weight_of(round);
        }
      alone.busy += core.start;
      alone.time += core.start;
      ends[id] = alone.time + transfer->second.first;
      alone.length.rounds += transfer->second.second;
    } else if (instruction.kind == step::Kind::wait) {
      alone.busy += core.wait;
      alone.time = std::max(alone.time, ends[*instruction.transfer]) + core.wait;
    } else {
      const auto time = sim::at_speed(costs.instruction(rank, instruction), speed);
      alone.busy += time;
      alone.time += time;
    }
  return alone;
}

const RankBound::Alone& RankBound::last_of(const Candidate& candidate, const Subject& subject, int stage,
                                           std::int64_t batch) {
  auto uncut = candidate;
  uncut.cut.clear();
  const auto& plan = subject.split.plan;
  Stage key{stage, batch};
  for (auto k = static_cast<std::size_t>(stage); k + 1 < plan.partition.size();
       k += static_cast<std::size_t>(plan.grid.pipeline))
    key.insert(key.end(), {plan.partition[k], plan.partition[k + 1]});
  const auto [found, is_new] = known_[uncut.name()].try_emplace(std::move(key));
  if (is_new)
    for (const auto& [part, rank] : busiest_ranks(plan, stage, supposed_.machine)) {
      const auto last = alone(subject, rank, batch);
      auto& most = found->second;
      if (last.busy >= most.busy) most.length = last.length;
      most.busy = std::max(most.busy, last.busy);
      most.time = std::max(most.time, last.time);
    }
  return found->second;
}

RankSeconds RankBound::seconds(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  Picoseconds busy = 0, time = 0;
  for (int stage = 0; stage < subject.split.plan.grid.pipeline; ++stage) {
    const auto& last = last_of(candidate, subject, stage, batch);
    busy = std::max(busy, last.busy);
    time = std::max(time, last.time);
  }
  return {.busy = machine::seconds_of(busy), .alone = machine::seconds_of(time)};
}

RankSeconds RankBound::of_one_stage(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  int most = 0;
  for (int stage = 1; stage < subject.split.plan.grid.pipeline; ++stage)
    if (flops_of_stage(subject.split, stage) > flops_of_stage(subject.split, most)) most = stage;
  const auto& last = last_of(candidate, subject, most, batch);
  return {.busy = machine::seconds_of(last.busy), .alone = machine::seconds_of(last.time)};
}

const std::vector<machine::Link>& RankBound::way(int from, int to) {
  const auto [found, is_new] = ways_.try_emplace({from, to});
  if (is_new) found->second = machine::links_between(supposed_.machine, from, to);
  return found->second;
}

double RankBound::seconds_of_links(const Subject& subject, std::int64_t batch) {
  if (!supposed_.machine.messages_meet()) return 0;
  const auto roles = roles_of(subject);
  const auto costs = sim::costs_on(supposed_.machine, roles.by_rank, batch, subject.site, kernels_);
  std::map<const step::Program*, step::Alike> alike;
  for (const auto& program : roles.programs)
    alike.emplace(&program, step::alike(program));
  std::map<machine::Link, std::int64_t> bytes;
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r) {
    const int rank = static_cast<int>(r);
    const auto& program = *roles.by_rank[r];
    // Transfers that are alike send the same.
    std::map<std::pair<int, std::int64_t>, std::pair<const step::Transfer*, std::int64_t>> counted;
    for (const auto& i : program.instructions)
      if (i.kind == step::Kind::start)
        ++counted
              .try_emplace(
                  {alike.at(&program).transfers[*i.transfer], program.samples_of(i.microbatch, rank, batch)},
                  &program.transfers[*i.transfer], 0)
              .first->second.second;
    for (const auto& [key, of_transfer] : counted)
      for (const auto& round : costs.rounds(rank, *of_transfer.first))
        if (const auto* const messages = std::get_if<sim::TimedMessages>(&round);
            messages && messages->send_to)
          for (const auto& link : way(rank, *messages->send_to))
            bytes[link] += messages->sent_bytes.value() * of_transfer.second;
  }
  double longest = 0;
  for (const auto& [link, carried] : bytes)
    longest = std::max(longest, static_cast<double>(carried) / link.bytes_per_second);
  return longest;
}

Length RankBound::length(const Candidate& candidate, const Subject& subject, std::int64_t batch) {
  const auto& grid = subject.split.plan.grid;
  const std::int64_t ranks = std::int64_t{grid.data} * grid.tensor;
  Length all;
  for (int stage = 0; stage < grid.pipeline; ++stage) {
    const auto& of_rank = last_of(candidate, subject, stage, batch).length;
    all.instructions += of_rank.instructions * ranks;
    all.rounds += of_rank.rounds * ranks;
  }
  return all;
}

}  // namespace partita::predict
