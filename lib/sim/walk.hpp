/// One order in which ranks can execute a step of their programs under rendezvous: every rank goes as far as
/// it gets, and goes on when what it waits for has been started by all that take part.
///
/// With no wildcard receives it does not matter which rank goes first: a rank that is stuck here is stuck in
/// every interleaving.
#pragma once

#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::sim {

/// Calls visit(rank, instruction) so that a wait follows the starts of all parties of its transfer; with
/// `eager`, sends are waited for without them. Returns where every rank stands: at the number of its
/// instructions, or at a wait that never ends.
template <class Visit>
std::vector<int> walk(const step::ProgramsByRank& programs, const step::Counterparts& counterparts,
                      bool eager, Visit&& visit) {
  std::vector<int> position(programs.size(), 0), blocked_on(programs.size(), -1), ready;
  std::vector<int> missing;  // by group: members that have not started it; −1: there never will be enough
  for (int g = 0; g < counterparts.groups(); ++g)
    missing.push_back(counterparts.complete(g) ? static_cast<int>(counterparts.members(g).size()) : -1);
  for (int r = static_cast<int>(programs.size()); r-- > 0;)
    ready.push_back(r);
  const auto start = [&](int group) {
    auto& left = missing[static_cast<std::size_t>(group)];
    if (left < 0 || --left > 0) return;
    for (const auto& member : counterparts.members(group)) {
      auto& blocked = blocked_on[static_cast<std::size_t>(member.rank)];
      if (blocked != group) continue;
      blocked = -1;
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
      const int group = instruction.transfer < 0 ? -1 : counterparts.group(rank, instruction.transfer);
      if (waits) {
        const auto& t = program.transfers[static_cast<std::size_t>(instruction.transfer)];
        const bool passes = eager && t.operation == collective::Operation::send;
        if (group < 0 || (!passes && missing[static_cast<std::size_t>(group)] != 0)) {
          blocked_on[static_cast<std::size_t>(rank)] = group;
          break;
        }
      }
      visit(rank, i);
      if (instruction.kind == step::Kind::start) start(group);
    }
  }
  return position;
}

}  // namespace partita::sim
