/// One order in which ranks can execute steps of their programs under rendezvous: every rank goes as far as
/// it gets, and goes on when what it waits for has been started by all that take part.
///
/// With no wildcard receives it does not matter which rank goes first: a rank that is stuck here is stuck in
/// every interleaving.
#pragma once

#include <optional>
#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::sim {

/// Steps one after the other, each by all ranks before any begins the next one.
class Walk {
 public:
  Walk(const step::ProgramsByRank& programs, const step::Counterparts& counterparts)
      : programs_(programs), counterparts_(counterparts) {
    for (const auto g : counterparts.groups().ids())
      states_.push_back(begun(g));
  }

  /// Calls visit(rank, instruction) for the instructions of a step of this kind, so that a wait follows the
  /// starts of all parties of its transfer. Returns where every rank stands: at the number of its
  /// instructions, or at a wait that never ends.
  template <class Visit>
  std::vector<int> step(step::StepKind kind, Visit&& visit) {
    std::vector<int> position(programs_.size(), 0), ready;
    std::vector<std::optional<GroupId>> blocked_on(programs_.size());  // by rank
    for (int r = static_cast<int>(programs_.size()); r-- > 0;)
      ready.push_back(r);
    const auto start = [&](GroupId group) {
      auto& left = states_[group].missing;
      if (left < 0 || --left > 0) return;
      for (const auto& member : counterparts_.members(group)) {
        auto& blocked = blocked_on[static_cast<std::size_t>(member.rank)];
        if (blocked != group) continue;
        blocked.reset();
        ready.push_back(member.rank);
      }
    };
    while (!ready.empty()) {
      const int rank = ready.back();
      ready.pop_back();
      const auto& program = *programs_[static_cast<std::size_t>(rank)];
      auto& i = position[static_cast<std::size_t>(rank)];
      for (; i < static_cast<int>(program.instructions.size()); ++i) {
        const auto& instruction = program.instructions[static_cast<std::size_t>(i)];
        if (!instruction.in.has(kind)) continue;
        const bool waits = instruction.kind == step::Kind::wait;
        const auto group =
            instruction.transfer ? counterparts_.group(rank, *instruction.transfer) : std::nullopt;
        if (waits && (!group || states_[*group].missing != 0)) {
          blocked_on[static_cast<std::size_t>(rank)] = group;
          break;
        }
        visit(rank, i);
        if (instruction.kind == step::Kind::start) start(*group);
        if (waits && --states_[*group].waiting == 0) states_[*group] = begun(*group);
      }
    }
    return position;
  }

 private:
  using GroupId = step::Counterparts::GroupId;
  struct State {
    int missing = 0;  ///< members that have not started it; -1: there never will be enough
    int waiting = 0;  ///< members that have not waited for it
  };
  [[nodiscard]] State begun(GroupId group) const {
    const auto members = static_cast<int>(counterparts_.members(group).size());
    return {counterparts_.groups()[group].complete ? members : -1, members};
  }

  const step::ProgramsByRank& programs_;
  const step::Counterparts& counterparts_;
  base::IdVector<GroupId, State> states_;
};

}  // namespace partita::sim
