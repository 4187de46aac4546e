/// Which depth simulates, and what a simulation says in sum.
#include "partita/sim/simulate.hpp"

#include <algorithm>
#include <iterator>
#include <map>

#include "full.hpp"
#include "partita/base/error.hpp"
#include "plane.hpp"

namespace partita::sim {
namespace {

constexpr std::size_t few_ranks = 64;

Depth chosen(const step::ProgramsByRank& programs, const Costs& costs) {
  if (programs.size() <= few_ranks) return Depth::full;
  if (!known_to_full_alone(costs).any() || programs.size() > most_full_ranks) return Depth::classes;
  return rounds_of_step(programs, costs) > most_full_rounds ? Depth::classes : Depth::full;
}

Simulation simulated(Depth depth, const step::ProgramsByRank& programs, const Costs& costs, int steps,
                     const SimulationOptions& options) {
  if (depth == Depth::full) return simulate_full(programs, costs, steps);
  base::expect(costs.setting.has_value(), "plane and classes need the costs of a machine");
  return (depth == Depth::plane ? simulate_plane : simulate_classes)(programs, costs, steps,
                                                                     options.spans_of);
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

LeftOut known_to_full_alone(const Costs& costs) {
  return {.meetings = costs.setting && costs.setting->machine->messages_meet(),
          .polling = costs.progress == machine::Progress::polled,
          .cores = costs.cores.has_value()};
}

std::int64_t rounds_of_step(const step::ProgramsByRank& programs, const Costs& costs) {
  std::map<const step::Program*, std::int64_t> of_program;
  std::int64_t rounds = 0;
  for (std::size_t r = 0; r < programs.size(); ++r) {
    const auto [known, is_new] = of_program.try_emplace(programs[r], 0);
    if (is_new)
      for (const auto& transfer : programs[r]->transfers)
        known->second += std::ssize(costs.rounds(static_cast<int>(r), transfer));
    rounds += known->second;
  }
  return rounds;
}

Simulation simulate(const step::ProgramsByRank& programs, const Costs& costs, int steps,
                    const SimulationOptions& options) {
  const auto depth = options.depth == Depth::automatic ? chosen(programs, costs) : options.depth;
  auto simulation = simulated(depth, programs, costs, steps, options);
  if (depth != Depth::full) simulation.left_out = known_to_full_alone(costs);
  simulation.ranks_share_cores = costs.cores.has_value();
  return simulation;
}

}  // namespace partita::sim
