/// Lanes that are all the ranks of a stage, or representatives of its classes.
#include "plane.hpp"

#include <algorithm>
#include <map>

#include "classes.hpp"

namespace partita::sim {
namespace {

ExchangeByGroup exchanges_of(const Skeletons& skeletons, Exchanges& exchanges) {
  ExchangeByGroup by_group;
  const auto& groups = skeletons.counterparts->groups();
  for (const auto group : groups.ids())
    by_group.push_back(groups[group].complete ? exchanges.of(skeletons.sides(group)) : nullptr);
  return by_group;
}

/// Of every rank.
Simulation of_plane(const Skeletons& skeletons, const Costs& costs, const ExchangeByGroup& exchanges,
                    int steps, const std::vector<int>& spans_of) {
  const auto ranks = ranks_by_stage(costs.setting->programs->front()->grid);
  Lanes lanes(skeletons, costs, ranks, exchanges, spans_of);
  Simulation simulation{.depth = Depth::plane};
  for (int s = 0; s < steps; ++s) {
    auto& step = simulation.steps.emplace_back(costs.setting->programs->size());
    auto done = lanes.step();
    std::size_t lane = 0;
    for (const auto& stage : ranks)
      for (const int rank : stage)
        step[static_cast<std::size_t>(rank)] = std::move(done[lane++]);
  }
  return simulation;
}

/// Of representatives, then of those for whom they stand.
Simulation of_classes(const Skeletons& skeletons, const Costs& costs, const ExchangeByGroup& exchanges,
                      const Classes& classes, int steps, const std::vector<int>& spans_of) {
  const auto first_rank = [&](int rank) {
    return classes.first_rank[static_cast<std::size_t>(classes.class_of[static_cast<std::size_t>(rank)])];
  };
  std::map<const Exchange*, std::shared_ptr<const Exchange>> known;
  ExchangeByGroup between;
  for (const auto& exchange : exchanges) {
    auto& made = known[exchange.get()];
    if (exchange && !made) made = between_classes(*exchange, *costs.setting, classes);
    between.push_back(made);
  }
  std::vector<int> firsts;
  for (const int rank : spans_of)
    firsts.push_back(first_rank(rank));
  Lanes lanes(skeletons, costs, classes.representatives, between, firsts);
  Simulation simulation{.depth = Depth::classes, .class_of = classes.class_of};
  for (int s = 0; s < steps; ++s) {
    std::vector<RankStep> by_class(classes.first_rank.size());
    auto done = lanes.step();
    std::size_t lane = 0;
    for (const auto& stage : classes.representatives)
      for (const int rank : stage)
        by_class[static_cast<std::size_t>(classes.class_of[static_cast<std::size_t>(rank)])] =
            std::move(done[lane++]);
    auto& step = simulation.steps.emplace_back(classes.class_of.size());
    for (const int rank : spans_of)
      step[static_cast<std::size_t>(rank)].instructions =
          by_class[static_cast<std::size_t>(classes.class_of[static_cast<std::size_t>(rank)])].instructions;
    for (auto& of_class : by_class)
      of_class.instructions = {};
    for (std::size_t rank = 0; rank < step.size(); ++rank) {
      auto spans = std::move(step[rank].instructions);
      step[rank] = by_class[static_cast<std::size_t>(classes.class_of[rank])];
      step[rank].instructions = std::move(spans);
    }
  }
  return simulation;
}

}  // namespace

Simulation simulate_plane(const step::ProgramsByRank& programs, const Costs& costs, int steps,
                          const std::vector<int>& spans_of) {
  const Skeletons skeletons(programs);
  Exchanges exchanges(*costs.setting);
  return of_plane(skeletons, costs, exchanges_of(skeletons, exchanges), steps, spans_of);
}

Simulation simulate_classes(const step::ProgramsByRank& programs, const Costs& costs, int steps,
                            const std::vector<int>& spans_of) {
  // More would hardly be less work than all ranks.
  const auto most = std::max<std::size_t>(64, programs.size() / 4);
  const Skeletons skeletons(programs);
  Exchanges exchanges(*costs.setting);
  const auto by_group = exchanges_of(skeletons, exchanges);
  const auto classes = classes_of(*costs.setting, by_group, most);
  if (!classes) return of_plane(skeletons, costs, by_group, steps, spans_of);
  return of_classes(skeletons, costs, by_group, *classes, steps, spans_of);
}

}  // namespace partita::sim
