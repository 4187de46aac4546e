/// Which depth simulates, and what a simulation says in sum.
#include "partita/sim/simulate.hpp"

#include <algorithm>

#include "full.hpp"
#include "partita/base/error.hpp"
#include "plane.hpp"

namespace partita::sim {
namespace {

constexpr std::size_t most_polled_ranks = 4096;
constexpr std::size_t few_ranks = 64;

Depth chosen(Depth asked, std::size_t ranks, bool polled) {
  if (asked != Depth::automatic) return asked;
  return ranks <= few_ranks || polled ? Depth::full : Depth::classes;
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
  if (polled && programs.size() > most_polled_ranks)
    throw base::ConfigError(
        {{"progress", "polled",
          "cores that move transfers on are simulated up to " + std::to_string(most_polled_ranks) +
              " ranks, not " + std::to_string(programs.size()) + "; the nearest is independent"}});
  const auto depth = chosen(options.depth, programs.size(), polled);
  if (depth == Depth::full) return simulate_full(programs, costs, steps);
  base::expect(!polled && costs.setting,
               "plane and classes need a machine that moves transfers on by itself");
  return (depth == Depth::plane ? simulate_plane : simulate_classes)(programs, costs, steps,
                                                                     options.spans_of);
}

}  // namespace partita::sim
