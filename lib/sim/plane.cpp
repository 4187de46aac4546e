/// Lanes that are all the ranks of a stage, or representatives of its classes; and these by events.
#include "plane.hpp"

#include <algorithm>
#include <map>

#include "classes.hpp"
#include "full.hpp"
#include "quotient.hpp"

namespace partita::sim {
namespace {

/// Nothing that a rank does can be seen by another at the same time.
bool takes_time(const machine::Machine& machine) {
  const auto is_some = [](double seconds) { return machine::picoseconds(seconds) > 0; };
  const auto& levels = machine.levels;
  const bool windows = is_some(machine.seconds_of_flag());
  if (levels.empty()) return windows && is_some(machine.link_latency_seconds);
  return windows && std::ranges::all_of(levels, [&](const machine::Level& level) {
           return std::ranges::all_of(level.protocols,
                                      [&](const machine::Protocol& p) { return is_some(p.latency_seconds); });
         });
}

/// From those of representatives, by class, to those of all ranks. Only `spans_of` have spans.
std::vector<std::vector<RankStep>> of_all(std::vector<std::vector<RankStep>> by_class, const Classes& classes,
                                          const std::vector<int>& spans_of) {
  std::vector<std::vector<RankStep>> steps;
  for (auto& of_class : by_class) {
    auto& step = steps.emplace_back(classes.class_of.size());
    for (const int rank : spans_of)
      step[static_cast<std::size_t>(rank)].instructions = of_class[classes.number_of(rank)].instructions;
    for (auto& one : of_class)
      one.instructions = {};
    for (std::size_t rank = 0; rank < step.size(); ++rank) {
      auto spans = std::move(step[rank].instructions);
      step[rank] = of_class[classes.number_of(static_cast<int>(rank))];
      step[rank].instructions = std::move(spans);
    }
  }
  return steps;
}

}  // namespace

GridSimulation::GridSimulation(const step::ProgramsByRank& programs, const Costs& costs)
    : programs_(programs),
      costs_(costs),
      skeletons_(programs),
      exchanges_(*costs.setting),
      // More would hardly be less work than all ranks.
      most_classes_(std::max<std::size_t>(64, programs.size() / 4)) {
  const auto& groups = skeletons_.counterparts->groups();
  for (const auto group : groups.ids())
    by_group_.push_back(groups[group].complete ? exchanges_.of(skeletons_.sides(group)) : nullptr);
}

Simulation GridSimulation::plane(const std::vector<step::StepKind>& kinds,
                                 const std::vector<int>& spans_of) const {
  const auto ranks = ranks_by_stage(programs_.front()->grid);
  Lanes lanes(skeletons_, costs_, ranks, by_group_, spans_of);
  Simulation simulation{.depth = Depth::plane, .left_out = known_to_events_alone(costs_)};
  for (const auto kind : kinds) {
    auto& step = simulation.steps.emplace_back(programs_.size());
    auto done = lanes.step(kind);
    std::size_t lane = 0;
    for (const auto& stage : ranks)
      for (const int rank : stage)
        step[static_cast<std::size_t>(rank)] = std::move(done[lane++]);
  }
  return simulation;
}

Simulation GridSimulation::unshared(const std::vector<step::StepKind>& kinds,
                                    const std::vector<int>& spans_of) const {
  const auto classes = classes_of(*costs_.setting, by_group_, most_classes_, false);
  if (!classes) return plane(kinds, spans_of);
  std::map<const Exchange*, std::shared_ptr<const Exchange>> known;
  ExchangeByGroup between;
  for (const auto& exchange : by_group_) {
    auto& made = known[exchange.get()];
    if (exchange && !made) made = between_classes(*exchange, *costs_.setting, *classes);
    between.push_back(made);
  }
  std::vector<int> firsts;
  for (const int rank : spans_of)
    firsts.push_back(classes->representative(rank));
  Lanes lanes(skeletons_, costs_, classes->representatives, between, firsts);
  std::vector<std::vector<RankStep>> by_class;
  for (const auto kind : kinds) {
    auto& of_class = by_class.emplace_back(classes->first_rank.size());
    auto done = lanes.step(kind);
    std::size_t lane = 0;
    for (const auto& stage : classes->representatives)
      for (const int rank : stage)
        of_class[classes->number_of(rank)] = std::move(done[lane++]);
  }
  return {.steps = of_all(std::move(by_class), *classes, spans_of),
          .depth = Depth::classes,
          .left_out = known_to_events_alone(costs_),
          .class_of = classes->class_of};
}

std::optional<Simulation> GridSimulation::shared(const std::vector<step::StepKind>& kinds,
                                                 const std::vector<int>& spans_of) const {
  const auto& machine = *costs_.setting->machine;
  if (costs_.any_polls() && !takes_time(machine)) return {};
  const auto classes = classes_of(*costs_.setting, by_group_, most_classes_, machine.messages_meet());
  if (!classes || rounds_of_step(programs_, costs_, classes->first_rank) > most_full_rounds) return {};
  const Quotient quotient(skeletons_, by_group_, *costs_.setting, *classes);
  auto simulation = simulate_representatives(programs_, costs_, kinds, quotient);
  simulation.steps = of_all(std::move(simulation.steps), *classes, spans_of);
  simulation.depth = Depth::classes;
  simulation.class_of = classes->class_of;
  return simulation;
}

}  // namespace partita::sim
