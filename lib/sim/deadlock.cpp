/// Where each rank is stuck after the walk and who is missing there; on demand also groups whose members do
/// not start the same operation in the same order.
#include "partita/sim/deadlock.hpp"

#include <algorithm>

#include "walk.hpp"

namespace partita::sim {
namespace {

using step::Counterparts;
using step::Kind;
using step::Transfer;
using topology::Axis;
using Member = Counterparts::Member;

const Transfer& transfer_of(const step::ProgramsByRank& programs, const Member& m) {
  return programs[static_cast<std::size_t>(m.rank)]->transfers[static_cast<std::size_t>(m.transfer)];
}

/// All ranks that a transfer of `rank` needs.
std::vector<int> parties(const topology::GridExtent& grid, int rank, const Transfer& t) {
  if (!is_message(t)) return topology::group_of(grid, rank, t.axis);
  auto at = topology::coordinate_of(grid, rank);
  (t.axis == Axis::data ? at.data : t.axis == Axis::pipeline ? at.pipeline : at.tensor) = t.peer;
  return {rank, topology::rank_of(grid, at)};
}

bool started(const step::Program& program, int transfer, int position) {
  return std::any_of(program.instructions.begin(), program.instructions.begin() + position,
                     [&](const auto& i) { return i.kind == Kind::start && i.transfer == transfer; });
}

Blocked blocked_at(const step::ProgramsByRank& programs, const Counterparts& counterparts,
                   const std::vector<int>& position, int rank) {
  const auto& program = *programs[static_cast<std::size_t>(rank)];
  const int instruction = position[static_cast<std::size_t>(rank)];
  Blocked blocked{.rank = rank,
                  .instruction = instruction,
                  .transfer = program.instructions[static_cast<std::size_t>(instruction)].transfer};
  const int group = counterparts.group(rank, blocked.transfer);
  for (const int party : parties(program.grid, rank, transfer_of(programs, {rank, blocked.transfer}))) {
    Member member{party, party == rank && group < 0 ? blocked.transfer : -1};
    if (group >= 0)
      for (const auto& m : counterparts.members(group))
        if (m.rank == party) member = m;
    const auto p = static_cast<std::size_t>(party);
    if (member.transfer < 0 || !started(*programs[p], member.transfer, position[p]))
      blocked.missing.push_back(member);
  }
  return blocked;
}

bool alike(const Transfer& a, const Transfer& b) {
  return a.operation == b.operation && a.purpose == b.purpose && a.microbatch == b.microbatch;
}

/// The members of a group that differ from its first one, and the ranks that never start it.
std::vector<Mismatch> mismatches_of(const step::ProgramsByRank& programs, const Counterparts& counterparts,
                                    int group) {
  const auto members = counterparts.members(group);
  const auto& first = transfer_of(programs, members.front());
  std::vector<Mismatch> mismatches;
  if (is_message(first)) return mismatches;
  for (const auto& member : members)
    if (!alike(first, transfer_of(programs, member)))
      mismatches.push_back({first.axis, members.front(), member});
  if (counterparts.complete(group)) return mismatches;
  for (const int rank : topology::group_of(programs.front()->grid, members.front().rank, first.axis))
    if (std::none_of(members.begin(), members.end(), [&](const Member& m) { return m.rank == rank; }))
      mismatches.push_back({first.axis, members.front(), {rank, -1}});
  return mismatches;
}

std::string named(const step::ProgramsByRank& programs, const Member& member) {
  const std::string rank = "rank " + std::to_string(member.rank);
  if (member.transfer < 0) return rank + " (never starts it)";
  const auto& t = transfer_of(programs, member);
  std::string text = rank + " (transfer " + std::to_string(member.transfer) + ": " +
                     std::string(collective::to_string(t.operation)) + " " +
                     std::string(collective::to_string(t.purpose));
  if (t.microbatch >= 0) text += " mb " + std::to_string(t.microbatch);
  return text + ")";
}

}  // namespace

std::optional<Deadlock> find_deadlock(const step::ProgramsByRank& programs, const DeadlockOptions& options) {
  const Counterparts counterparts(programs);
  const auto position = walk(programs, counterparts, false, [](int, int) {});
  Deadlock deadlock;
  for (int r = 0; r < static_cast<int>(programs.size()); ++r) {
    const auto end = static_cast<int>(programs[static_cast<std::size_t>(r)]->instructions.size());
    if (position[static_cast<std::size_t>(r)] < end)
      deadlock.blocked.push_back(blocked_at(programs, counterparts, position, r));
  }
  for (int g = 0; options.same_order && g < counterparts.groups(); ++g) {
    const auto mismatches = mismatches_of(programs, counterparts, g);
    deadlock.mismatches.insert(deadlock.mismatches.end(), mismatches.begin(), mismatches.end());
  }
  if (deadlock.blocked.empty() && deadlock.mismatches.empty()) return std::nullopt;
  return deadlock;
}

std::string to_string(const Deadlock& deadlock, const step::ProgramsByRank& programs) {
  std::string text;
  for (const auto& b : deadlock.blocked) {
    text += named(programs, {b.rank, b.transfer}) + " waits for ever in instruction " +
            std::to_string(b.instruction) + " for";
    for (const auto& member : b.missing)
      text += " " + named(programs, member);
    text += "\n";
  }
  for (const auto& m : deadlock.mismatches)
    text += named(programs, m.one) + " meets " + named(programs, m.other) + " on axis " +
            std::string(topology::to_string(m.axis)) + "\n";
  return text;
}

}  // namespace partita::sim
