/// Where each rank is stuck after the walk and who is missing there; on demand also groups whose members do
/// not start the same operation in the same order.
#include "partita/sim/deadlock.hpp"

#include <algorithm>
#include <iterator>

#include "walk.hpp"

namespace partita::sim {
namespace {

using step::Counterparts;
using step::Kind;
using step::Transfer;
using topology::Axis;
using Member = Counterparts::Member;

const Transfer& transfer_of(const step::ProgramsByRank& programs, const Member& m) {
  return programs[static_cast<std::size_t>(m.rank)]->transfers[m.transfer];
}

/// All ranks that a transfer of `rank` needs.
std::vector<int> parties(const topology::GridExtent& grid, int rank, const Transfer& t) {
  if (!is_message(t)) return topology::group_of(grid, rank, t.axis);
  auto at = topology::coordinate_of(grid, rank);
  (t.axis == Axis::data ? at.data : t.axis == Axis::pipeline ? at.pipeline : at.tensor) = *t.peer;
  return {rank, topology::rank_of(grid, at)};
}

bool started(const step::Program& program, step::TransferId transfer, int position) {
  return std::any_of(program.instructions.begin(), program.instructions.begin() + position,
                     [&](const auto& i) { return i.kind == Kind::start && i.transfer == transfer; });
}

Blocked blocked_at(const step::ProgramsByRank& programs, const Counterparts& counterparts,
                   const std::vector<int>& position, int rank) {
  const auto& program = *programs[static_cast<std::size_t>(rank)];
  const int instruction = position[static_cast<std::size_t>(rank)];
  Blocked blocked{.rank = rank,
                  .instruction = instruction,
                  .transfer = *program.instructions[static_cast<std::size_t>(instruction)].transfer};
  const auto group = counterparts.group(rank, blocked.transfer);
  for (const int party : parties(program.grid, rank, transfer_of(programs, {rank, blocked.transfer}))) {
    Party missing{.rank = party};
    if (party == rank && !group) missing.transfer = blocked.transfer;
    if (group)
      for (const auto& m : counterparts.members(*group))
        if (m.rank == party) missing.transfer = m.transfer;
    const auto p = static_cast<std::size_t>(party);
    if (!missing.transfer || !started(*programs[p], *missing.transfer, position[p]))
      blocked.missing.push_back(missing);
  }
  return blocked;
}

bool alike(const Transfer& a, const Transfer& b) {
  return a.operation == b.operation && a.purpose == b.purpose && a.microbatch == b.microbatch;
}

/// The members of a group that differ from its first one, and the ranks that never start it.
std::vector<Mismatch> mismatches_of(const step::ProgramsByRank& programs, const Counterparts& counterparts,
                                    Counterparts::GroupId group) {
  const auto members = counterparts.members(group);
  const auto& first = transfer_of(programs, members.front());
  const Party one{members.front().rank, members.front().transfer};
  std::vector<Mismatch> mismatches;
  if (is_message(first)) return mismatches;
  for (const auto& member : members)
    if (!alike(first, transfer_of(programs, member)))
      mismatches.push_back({first.axis, one, {member.rank, member.transfer}});
  if (counterparts.groups()[group].complete) return mismatches;
  for (const int rank : topology::group_of(programs.front()->grid, members.front().rank, first.axis))
    if (std::none_of(members.begin(), members.end(), [&](const Member& m) { return m.rank == rank; }))
      mismatches.push_back({first.axis, one, {rank, {}}});
  return mismatches;
}

std::string named(const step::ProgramsByRank& programs, const Party& party) {
  const std::string rank = "rank " + std::to_string(party.rank);
  if (!party.transfer) return rank + " (never starts it)";
  const auto& t = transfer_of(programs, {party.rank, *party.transfer});
  std::string text = rank + " (transfer " + std::to_string(party.transfer->value()) + ": " +
                     std::string(collective::to_string(t.operation)) + " " +
                     std::string(collective::to_string(t.purpose));
  if (t.microbatch) text += " mb " + std::to_string(t.microbatch->value());
  return text + ")";
}

}  // namespace

std::optional<Deadlock> find_deadlock(const step::ProgramsByRank& programs, const DeadlockOptions& options) {
  const Counterparts counterparts(programs);
  Deadlock deadlock;
  Walk walk(programs, counterparts);
  const auto& cadence = programs.front()->cadence;
  for (const auto kind : options.kinds.empty() ? step::two_periods_of(cadence) : options.kinds) {
    const auto position = walk.step(kind, [](int, int) {});
    for (int r = 0; r < static_cast<int>(programs.size()); ++r) {
      const auto end = static_cast<int>(programs[static_cast<std::size_t>(r)]->instructions.size());
      if (position[static_cast<std::size_t>(r)] < end)
        deadlock.blocked.push_back(blocked_at(programs, counterparts, position, r));
    }
    if (!deadlock.blocked.empty()) break;
  }
  if (options.same_order)
    for (const auto g : counterparts.groups().ids())
      std::ranges::copy(mismatches_of(programs, counterparts, g), std::back_inserter(deadlock.mismatches));
  if (deadlock.blocked.empty() && deadlock.mismatches.empty()) return std::nullopt;
  return deadlock;
}

std::string to_string(const Deadlock& deadlock, const step::ProgramsByRank& programs) {
  std::string text;
  for (const auto& b : deadlock.blocked) {
    text += named(programs, {b.rank, b.transfer}) + " waits for ever in instruction " +
            std::to_string(b.instruction) + " for";
    for (const auto& party : b.missing)
      text += " " + named(programs, party);
    text += "\n";
  }
  for (const auto& m : deadlock.mismatches)
    text += named(programs, m.one) + " meets " + named(programs, m.other) + " on axis " +
            std::string(topology::to_string(m.axis)) + "\n";
  return text;
}

}  // namespace partita::sim
