/// One order in which ranks can execute a step of their programs under rendezvous: every rank goes as far as
/// it gets, and goes on when what it waits for has been started by all that take part.
///
/// With no wildcard receives it does not matter which rank goes first: a rank that is stuck here is stuck in
/// every interleaving.
#pragma once

#include <optional>
#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::sim {

/// Calls visit(rank, instruction) so that a wait follows the starts of all parties of its transfer; with
/// `eager`, sends are waited for without them. Returns where every rank stands: at the number of its
/// instructions, or at a wait that never ends.
template <class Visit>
std::vector<int> walk(const step::ProgramsByRank& programs, const step::Counterparts& counterparts,
                      bool eager, Visit&& visit) {
  using GroupId = step::Counterparts::GroupId;
  std::vector<int> position(programs.size(), 0), ready;
  std::vector<std::optional<GroupId>> blocked_on(programs.size());  // by rank
  base::IdVector<GroupId, int> missing;  // members that have not started it; −1: there never will be enough
  for (const auto g : counterparts.groups().ids())
    missing.push_back(counterparts.groups()[g].complete ? static_cast<int>(counterparts.members(g).size())
                                                        : -1);
  for (int r = static_cast<int>(programs.size()); r-- > 0;)
    ready.push_back(r);
  const auto start = [&](GroupId group) {
    auto& left = missing[group];
    if (left < 0 || --left > 0) return;
    for (const auto& member : counterparts.members(group)) {
      auto& blocked = blocked_on[static_cast<std::size_t>(member.rank)];
      if (blocked != group) continue;
      blocked.reset();
      ready.push_back(member.rank);
    }
  };
  while (!ready.empty()) {
    const int rank = ready.back();
    ready.pop_back();
    const auto& program = *programs[static_cast<std::size_t>(rank)];
    auto& i = position[static_cast<std::size_t>(rank)];
    for (; i < static_cast<int>(program.instructions.size()); ++i) {
      const auto& instruction = program.instructions[static_cast<std::size_t>(i)];
      const bool waits = instruction.kind == step::Kind::wait;
      const auto group =
          instruction.transfer ? counterparts.group(rank, *instruction.transfer) : std::nullopt;
      if (waits) {
        const auto& t = program.transfers[*instruction.transfer];
        const bool passes = eager && t.operation == collective::Operation::send;
        if (!group || (!passes && missing[*group] != 0)) {
          blocked_on[static_cast<std::size_t>(rank)] = group;
          break;
        }
      }
      visit(rank, i);
      if (instruction.kind == step::Kind::start) start(*group);
    }
  }
  return position;
}

}  // namespace partita::sim
