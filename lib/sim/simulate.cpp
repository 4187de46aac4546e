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

Picoseconds Simulation::of_busiest_link() const {
  double longest = 0;
  for (const auto& link : links)
    longest = std::max(longest, static_cast<double>(link.bytes.value()) / link.bytes_per_second);
  return machine::picoseconds(longest / static_cast<double>(steps.size()));
}

Picoseconds Simulation::step_duration() const {
  const int last = static_cast<int>(steps.size()) - 1;
  const auto period = steady.period, all = period + steady.left_out;
  base::expect(last > period, "a steady state wants a period and two steps", steps.size());
  if (std::ranges::count(steady.kinds, steady.kinds.back()) == std::ssize(steady.kinds)) {
    Picoseconds longest = 0;
    for (std::size_t rank = 0; rank < steps.back().size(); ++rank)
      longest = std::max(longest, steps.back()[rank].end - (steps.end() - 1 - period)->at(rank).end);
    return std::max(longest / period, of_busiest_link());
  }
  const auto of_period = end_of(last) - end_of(last - static_cast<int>(period));
  const auto usual = end_of(last - 1) - end_of(last - 2);  // as those that are left out
  return (of_period + usual * steady.left_out) / all;
}

double Simulation::idle_fraction() const {
  const int last = static_cast<int>(steps.size()) - 1, period = static_cast<int>(steady.period);
  base::expect(last > period, "a steady state wants a period and two steps", steps.size());
  double idle = 0;
  for (auto step = steps.end() - period; step != steps.end(); ++step)
    for (const auto& rank : *step)
      idle += static_cast<double>(rank.idle());
  return idle / (static_cast<double>(steps.back().size()) *
                 static_cast<double>(end_of(last) - end_of(last - period)));
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
        for (const auto& round : costs.rounds(rank, transfer))
          known->second += weight_of(round);
    rounds += known->second;
  }
  return rounds;
}

namespace {

/// To the depth that is asked for, or that is best.
Simulation simulated(const step::ProgramsByRank& programs, const Costs& costs,
                     const std::vector<step::StepKind>& kinds, const SimulationOptions& options) {
  const auto depth = programs.front()->servers > 0 ? Depth::full : options.depth;
  const bool may_be_full = depth == Depth::full || depth == Depth::automatic;
  if (depth == Depth::full || (may_be_full && programs.size() <= few_ranks))
    return simulate_full(programs, costs, kinds);
  base::expect(costs.setting.has_value(), "all depths but full need the costs of a machine");
  const GridSimulation grid(programs, costs);
  if (depth == Depth::plane) return grid.plane(kinds, options.spans_of);
  if (depth != Depth::unshared && known_to_events_alone(costs).any()) {
    if (auto shared = grid.shared(kinds, options.spans_of)) return std::move(*shared);
    if (may_be_full && is_for_full(programs, costs)) return simulate_full(programs, costs, kinds);
  }
  return grid.unshared(kinds, options.spans_of);
}

}  // namespace

Simulation simulate(const step::ProgramsByRank& programs, const Costs& costs, int steps,
                    const SimulationOptions& options) {
  auto steady = options.steady;
  if (steady.kinds.empty()) {
    steady.kinds = step::steady_steps(programs.front()->cadence, steps).kinds;
    steady.kinds.resize(static_cast<std::size_t>(steps));
  }
  base::expect(std::ssize(steady.kinds) == steps, "every step is of a kind", steady.kinds.size(), steps);
  auto simulation = simulated(programs, costs, steady.kinds, options);
  simulation.steady = std::move(steady);
  return simulation;
}

}  // namespace partita::sim
