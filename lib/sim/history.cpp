/// Records and acts, as ranks report them.
#include "history.hpp"

#include <algorithm>
#include <utility>

namespace partita::sim {

History::History(Ranks& ranks, const Costs& costs, int steps, bool all_run) : ranks_(ranks) {
  simulation_.steps.resize(static_cast<std::size_t>(steps));
  for (auto& step : simulation_.steps)
    for (const auto& rank : ranks_.all())
      step.emplace_back().instructions.resize(rank.program->instructions.size());
  if (ranks_.all().front().program->cadence.is_delayed) traced_steps_ = 2;
  // What a server does next hangs on all that might have come, not on one act before.
  const bool has_one_cause = !ranks_.all().front().program->cadence.servers.is_asynchronous;
  if (all_run && has_one_cause) trace_.emplace(ranks_.all().size(), costs);
}

void History::trace(const Rank& rank, Act::Does does, Picoseconds took, const Flight* flight) {
  if (!is_traced(rank)) return;
  const Act act{.begin = rank.now - took,
                .end = rank.now,
                .flight = flight,
                .number = static_cast<std::uint32_t>(rank.instruction),
                .does = does};
  if (does == Act::Does::start)
    trace_->start(act);
  else
    trace_->add(rank.number, act);
}

void History::trace(const Flight& flight, Picoseconds took) {
  if (is_traced(ranks_.of(flight.rank()))) trace_->advanced(flight, took);
}

CriticalPath History::critical_path() const {
  const int last = static_cast<int>(simulation_.steps.size()) - 1;
  if (!trace_ || last < 0) return {};
  const auto& ranks = simulation_.steps.back();
  const auto latest = std::ranges::max_element(ranks, {}, &RankStep::end);
  return trace_->path_to(static_cast<int>(latest - ranks.begin()),
                         last > 0 ? simulation_.end_of(last - 1) : 0);
}

Simulation History::conclude(std::vector<LinkUse> links) && {
  simulation_.links = std::move(links);
  simulation_.critical_path = critical_path();
  for (const auto& rank : ranks_.all())
    if (!rank.served.empty()) simulation_.served.push_back(rank.served);
  return std::move(simulation_);
}

}  // namespace partita::sim
