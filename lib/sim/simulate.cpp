/// Which depth simulates, and what a simulation says in sum.
#include "partita/sim/simulate.hpp"

#include <algorithm>

#include "full.hpp"
#include "partita/base/error.hpp"
#include "plane.hpp"

namespace partita::sim {
namespace {

constexpr std::size_t most_full_ranks = 4096;  ///< where nothing but full depth will do
constexpr std::size_t few_ranks = 64;

Depth chosen(Depth asked, std::size_t ranks, bool wants_full) {
  if (asked != Depth::automatic) return asked;
  return ranks <= few_ranks || wants_full ? Depth::full : Depth::classes;
}

void check_ranks(std::size_t ranks, bool polled, bool meet) {
  if (ranks <= most_full_ranks) return;
  const auto many = " are simulated up to " + std::to_string(most_full_ranks) + " ranks, not " +
                    std::to_string(ranks) + "; ";
  std::vector<base::Violation> violations;
  if (polled)
    violations.push_back(
        {"progress", "polled", "cores that move transfers on" + many + "the nearest is independent"});
  if (meet)
    violations.push_back(
        {"machine", "topology or gap_seconds",
         "messages that share links or keep gaps" + many + "a machine without either has no such limit"});
  if (!violations.empty()) throw base::ConfigError(violations);
}

}  // namespace

std::string_view to_string(Depth depth) {
  switch (depth) {
    case Depth::automatic:
      return "automatic";
    case Depth::full:
      return "full";
    case Depth::plane:
      return "plane";
    case Depth::classes:
      return "classes";
  }
  return "unknown";
}

Picoseconds Simulation::end_of(int step) const {
  Picoseconds end = 0;
  for (const auto& rank : steps[static_cast<std::size_t>(step)])
    end = std::max(end, rank.end);
  return end;
}

Picoseconds Simulation::step_duration() const {
  const int count = static_cast<int>(steps.size());
  base::expect(count >= 3, "a steady state wants three steps", count);
  return end_of(count - 1) - end_of(count - 2);
}

double Simulation::idle_fraction() const {
  double idle = 0;
  for (const auto& rank : steps.back())
    idle += static_cast<double>(rank.idle());
  return idle / (static_cast<double>(steps.back().size()) * static_cast<double>(step_duration()));
}

Simulation simulate(const step::ProgramsByRank& programs, const Costs& costs, int steps,
                    const SimulationOptions& options) {
  const bool polled = costs.progress == machine::Progress::polled;
  const bool meet = costs.setting && costs.setting->machine->messages_meet();
  check_ranks(programs.size(), polled, meet);
  const auto depth = chosen(options.depth, programs.size(), polled || meet);
  if (depth == Depth::full) return simulate_full(programs, costs, steps);
  base::expect(
      !polled && !meet && costs.setting,
      "plane and classes need a machine that moves transfers on by itself and whose messages do not meet");
  return (depth == Depth::plane ? simulate_plane : simulate_classes)(programs, costs, steps,
                                                                     options.spans_of);
}

}  // namespace partita::sim
