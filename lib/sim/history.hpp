/// What the ranks that run have done: their steps, and, of the last one, every act, from which it follows
/// what that step hangs on.
#pragma once

#include <optional>

#include "rank.hpp"
#include "trace.hpp"

namespace partita::sim {

class History {
 public:
  /// Of so many steps. Acts are kept where all ranks run. Ranks and costs outlive it.
  History(Ranks&, const Costs&, int steps, bool all_run);

  [[nodiscard]] bool has_ended(const Rank& rank) const {
    return rank.step == static_cast<int>(simulation_.steps.size());
  }
  /// Of the step in which the rank is.
  RankStep& record(const Rank& rank) {
    return simulation_.steps[static_cast<std::size_t>(rank.step)][ranks_.place_of(rank)];
  }

  /// What has just been done and took so long.
  void trace(const Rank&, Act::Does, Picoseconds took, const Flight* = nullptr);
  void trace(const Flight&, Picoseconds took);

  /// With how links were used.
  Simulation conclude(std::vector<LinkUse>) &&;

 private:
  /// Of the last step, or, where that waits for what the one before it started, of both.
  [[nodiscard]] bool is_traced(const Rank& rank) const {
    const auto steps = static_cast<int>(simulation_.steps.size());
    return trace_ && rank.step < steps && rank.step + traced_steps_ >= steps;
  }
  [[nodiscard]] CriticalPath critical_path() const;

  Ranks& ranks_;
  std::optional<Trace> trace_;
  int traced_steps_ = 1;
  Simulation simulation_;
};

}  // namespace partita::sim
