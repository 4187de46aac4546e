/// Who gets a core goes on then; what it did without one is told to the history.
#include "core_scheduler.hpp"

#include <utility>

namespace partita::sim {

CoreScheduler::CoreScheduler(const Costs& costs, std::size_t ranks, Ranks& running, History& history,
                             Agenda& agenda)
    : processors_(costs.shared_cores, ranks), ranks_(running), history_(history), agenda_(agenda) {}

void CoreScheduler::wake(Rank& rank) {
  const auto& waited = *rank.flights[*rank.program->instructions[rank.instruction].transfer];
  const Flight* come = waited.is_over() && waited.clock() <= rank.now ? &waited : nullptr;
  for (const auto* flight : rank.active)
    if (const auto time = flight->awaited(); time && *time <= rank.now) come = flight;
  if (come == nullptr) return;
  rank.does = Rank::Does::waits;
  rank.come = come;
  stand_in_line(rank);
}

void CoreScheduler::stand_in_line(Rank& rank) {
  if (const auto begins = processors_.ask(rank.number, rank.now)) go_on_at(rank, *begins);
}

void CoreScheduler::leave_core(const Rank& rank) {
  if (!are_shared()) return;
  if (const auto next = processors_.leave(rank.number, rank.now))
    go_on_at(ranks_.of(next->rank), next->begins);
}

bool CoreScheduler::gives_way(Rank& rank) {
  if (!are_shared() || !processors_.is_due(rank.number, rank.now)) return false;
  leave_core(rank);
  stand_in_line(rank);
  return true;
}

Picoseconds CoreScheduler::granted(const Rank& rank, Picoseconds work) {
  return are_shared() ? processors_.granted(rank.number, rank.now, work) : work;
}

/// Within an instruction the time without a core is the instruction's.
void CoreScheduler::go_on_at(Rank& rank, Picoseconds begins) {
  const auto without = begins - rank.now;
  const auto* const come = std::exchange(rank.come, nullptr);
  rank.now = begins;
  if (rank.left) history_.record(rank).busy += without;
  if (without > 0) history_.trace(rank, Act::Does::gets_core, without, come);
  agenda_.push(rank.now, rank.number);
}

}  // namespace partita::sim
