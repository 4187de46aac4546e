/// Which depth simulates, and what a simulation says in sum.
#include "partita/sim/simulate.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>

#include "full.hpp"
#include "partita/base/error.hpp"
#include "plane.hpp"

namespace partita::sim {
namespace {

constexpr std::size_t few_ranks = 64;

bool is_for_full(const step::ProgramsByRank& programs, const Costs& costs) {
  return programs.size() <= most_full_ranks && rounds_of_step(programs, costs) <= most_full_rounds;
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
    case Depth::unshared:
      return "unshared";
  }
  return "unknown";
}

std::int64_t Simulation::running_ranks() const {
  if (class_of.empty()) return steps.empty() ? 0 : std::ssize(steps.front());
  return 1 + *std::ranges::max_element(class_of);
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

LeftOut known_to_events_alone(const Costs& costs) {
  return {.meetings = costs.setting && costs.setting->machine->messages_meet(), .polling = costs.any_polls()};
}

std::int64_t rounds_of_step(const step::ProgramsByRank& programs, const Costs& costs) {
  std::vector<int> all(programs.size());
  std::iota(all.begin(), all.end(), 0);
  return rounds_of_step(programs, costs, all);
}

std::int64_t rounds_of_step(const step::ProgramsByRank& programs, const Costs& costs,
                            const std::vector<int>& ranks) {
  std::map<const step::Program*, std::int64_t> of_program;
  std::int64_t rounds = 0;
  for (const int rank : ranks) {
    const auto* const program = programs[static_cast<std::size_t>(rank)];
    const auto [known, is_new] = of_program.try_emplace(program, 0);
    if (is_new)
      for (const auto& transfer : program->transfers)
        known->second += std::ssize(costs.rounds(rank, transfer));
    rounds += known->second;
  }
  return rounds;
}

Simulation simulate(const step::ProgramsByRank& programs, const Costs& costs, int steps,
                    const SimulationOptions& options) {
  const auto depth = options.depth;
  const bool may_be_full = depth == Depth::full || depth == Depth::automatic;
  if (depth == Depth::full || (may_be_full && programs.size() <= few_ranks))
    return simulate_full(programs, costs, steps);
  base::expect(costs.setting.has_value(), "all depths but full need the costs of a machine");
  const GridSimulation grid(programs, costs);
  if (depth == Depth::plane) return grid.plane(steps, options.spans_of);
  if (depth != Depth::unshared && known_to_events_alone(costs).any()) {
    if (auto shared = grid.shared(steps, options.spans_of)) return std::move(*shared);
    if (may_be_full && is_for_full(programs, costs)) return simulate_full(programs, costs, steps);
  }
  return grid.unshared(steps, options.spans_of);
}

}  // namespace partita::sim
