/// The partition search against all cuts of small chains.
#include "partita/plan/partition.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "../models.hpp"
#include "partita/plan/placement.hpp"
#include "partita/plan/plan.hpp"

namespace partita::plan {
namespace {

using tests::model_of;

/// The costliest chunk, then what the boundaries carry.
using Cost = std::pair<double, double>;
constexpr std::int64_t samples = 8;
constexpr Cost impossible{std::numeric_limits<double>::infinity(), 0};

/// What the search weighs, by hand.
class Chain {
 public:
  Chain(const model::ModelSpec& model, int stages, std::vector<double> costs)
      : model_(model), stages_(stages), costs_(std::move(costs)) {}

  [[nodiscard]] Cost of(const step::Partition& first) const {
    Cost cost{0, 0};
    for (std::size_t k = 0; k + 1 < first.size(); ++k) {
      double chunk = 0;
      for (int l = first[k]; l < first[k + 1]; ++l) {
        const auto& layer = model_.layers[static_cast<std::size_t>(l)];
        if (layer.stage && *layer.stage != static_cast<int>(k) % stages_) return impossible;
        chunk += costs_[static_cast<std::size_t>(l)];
      }
      cost.first = std::max(cost.first, chunk);
      if (k == 0) continue;
      const auto& next = model_.layers[static_cast<std::size_t>(first[k])];
      cost.second +=
          static_cast<double>(next.input.elements().value()) + (next.kind == model::LayerKind::relu ? 1 : 0);
    }
    return cost;
  }
  /// Of all cuts into `chunks` chunks that keep to the stages, the cheapest first.
  [[nodiscard]] std::vector<Cost> all(int chunks) const {
    std::vector<Cost> costs;
    step::Partition first{0};
    collect(first, chunks, costs);
    std::ranges::sort(costs);
    return costs;
  }
  [[nodiscard]] Cost cheapest(int chunks) const {
    const auto costs = all(chunks);
    return costs.empty() ? impossible : costs.front();
  }

 private:
  void collect(step::Partition& first, int left, std::vector<Cost>& costs) const {
    const int layers = static_cast<int>(model_.layers.size());
    if (left == 1) {
      first.push_back(layers);
      if (const Cost cost = of(first); cost < impossible) costs.push_back(cost);
      first.pop_back();
      return;
    }
    for (int next = first.back() + 1; next + left - 1 <= layers; ++next) {
      first.push_back(next);
      collect(first, left - 1, costs);
      first.pop_back();
    }
  }

  const model::ModelSpec& model_;
  int stages_;
  std::vector<double> costs_;
};

/// Whole picoseconds of FLOPs, on a machine that does nothing else that takes time: forward, and both
/// gradients but those of the lowest trained layer's input, below it, and of what is frozen.
std::vector<double> costs_on_one_rank(const model::ModelSpec& model, const machine::Machine& machine) {
  std::vector<double> costs;
  bool above = false;
  for (const auto& layer : model.layers) {
    const bool trained = layer.has_parameters() && !layer.frozen;
    const double pass = std::round(layer.forward_flops() * samples / machine.flops_per_second * 1e12);
    costs.push_back(pass * (1 + (trained ? 1 : 0) + (above ? 1 : 0)));
    above = above || trained;
  }
  return costs;
}

const machine::Machine& shipped = machine::Machine::shipped();

/// The layers in one place on the tensor axis.
step::ModelPlacement unplaced(const model::ModelSpec& model) { return place(model, {}, samples, shipped); }

const std::vector<model::ModelSpec>& models() {
  static const std::vector<model::ModelSpec> all{
      model_of("13", {"linear 11", "relu", "linear 7", "relu", "linear 5"}),
      model_of("5", {"linear 5", "linear 5", "linear 5", "linear 5", "linear 5", "linear 5", "linear 5"}),
      model_of("1x9x8", {"conv 3 kernel=3", "relu", "maxpool 2", "conv 4 kernel=2", "relu", "flatten",
                         "linear 6", "tanh", "linear 5"}),
      model_of("7", {"linear 9 frozen", "relu", "linear 3", "relu", "linear 8 frozen", "linear 2"}),
      model_of("6", {"linear 6", "relu", "linear 30", "linear 2", "relu", "linear 9"}),
      model_of("1", {"linear 1"}),
  };
  return all;
}

TEST(Partition, IsTheBestOfAllCuts) {
  int cuts = 0;
  for (const auto& model : models())
    for (int stages = 1; stages <= 6; ++stages)
      for (int chunks = 1; chunks <= 3 && stages * chunks <= static_cast<int>(model.layers.size());
           ++chunks) {
        std::vector<base::Violation> violations;
        const auto found = partition(model, unplaced(model), {stages, chunks, samples}, shipped, violations);
        ASSERT_TRUE(violations.empty());
        const Chain chain(model, stages, costs_on_one_rank(model, shipped));
        EXPECT_EQ(chain.of(found), chain.cheapest(stages * chunks)) << stages << " stages of " << chunks;
        ASSERT_EQ(found.size(), static_cast<std::size_t>(stages * chunks) + 1);
        EXPECT_TRUE(std::is_sorted(found.begin(), found.end(), std::less_equal<>())) << "no chunk is empty";
        ++cuts;
      }
  EXPECT_GT(cuts, 40);
}

/// Each cut once, in the order of what is weighed: as many as are asked for, or all.
TEST(Partition, KeepsTheBestCuts) {
  std::size_t lists = 0;
  auto all_models = models();
  all_models.push_back(
      model_of("5", {"linear 5", "relu", "linear 50", "linear 5 stage=1", "relu", "linear 5"}));
  for (const auto& model : all_models)
    for (int stages = 1; stages <= 5; ++stages)
      for (int chunks = 1; chunks <= 2 && stages * chunks <= static_cast<int>(model.layers.size()); ++chunks)
        for (const std::size_t most : {1U, 2U, 3U, 7U, 1000U}) {
          const Chain chain(model, stages, costs_on_one_rank(model, shipped));
          auto expected = chain.all(stages * chunks);
          if (expected.empty()) continue;
          std::vector<base::Violation> violations;
          const auto found =
              partitions(model, unplaced(model), {stages, chunks, samples}, shipped, most, violations);
          ASSERT_TRUE(violations.empty());
          expected.resize(std::min(most, expected.size()));
          std::vector<Cost> costs;
          for (const auto& cut : found)
            costs.push_back(chain.of(cut));
          EXPECT_EQ(costs, expected) << stages << " stages of " << chunks << ", " << most;
          EXPECT_EQ(std::set<step::Partition>(found.begin(), found.end()).size(), found.size());
          EXPECT_EQ(found.front(),
                    partition(model, unplaced(model), {stages, chunks, samples}, shipped, violations));
          ++lists;
        }
  EXPECT_GT(lists, 100U);
}

TEST(Partition, KeepsToTheStagesThatLayersName) {
  const std::vector<std::vector<std::string>> pinned{
      {"linear 5 stage=0", "linear 5 stage=1", "linear 5", "linear 5"},
      {"linear 5", "linear 5", "linear 5 stage=0", "linear 5"},
      {"linear 5", "relu", "linear 50", "linear 5 stage=1"},
      {"linear 50", "linear 5 stage=1", "linear 5", "linear 5 stage=2"},
  };
  for (const auto& layers : pinned) {
    const auto model = model_of("5", layers);
    for (int stages = 2; stages <= 3; ++stages) {
      std::vector<base::Violation> violations;
      const auto found = partition(model, unplaced(model), {stages, 1, samples}, shipped, violations);
      const Chain chain(model, stages, costs_on_one_rank(model, shipped));
      const Cost best = chain.cheapest(stages);
      EXPECT_EQ(violations.empty(), best < impossible) << layers.front();
      if (!violations.empty()) continue;
      EXPECT_EQ(chain.of(found), best) << layers.front() << ", " << stages;
    }
  }
}

TEST(Partition, RefusesMoreChunksThanLayers) {
  const auto model = model_of("5", {"linear 5", "relu", "linear 5"});
  std::vector<base::Violation> violations;
  partition(model, unplaced(model), {4, 1, samples}, shipped, violations);
  partition(model, unplaced(model), {2, 2, samples}, shipped, violations);
  ASSERT_EQ(violations.size(), 2U);
  EXPECT_EQ(violations[0].key, "grid.pipeline");
  EXPECT_NE(violations[0].message.find("the nearest is 3"), std::string::npos) << violations[0].message;
  EXPECT_EQ(violations[1].key, "pipeline.chunks");
  EXPECT_NE(violations[1].message.find("the nearest is 1"), std::string::npos) << violations[1].message;
}

/// Layers that compute little and move much: by FLOPs the linear layer is a stage of its own, where caches
/// are slow the element-wise ones are what takes time.
TEST(Partition, FollowsTheMachine) {
  const auto model = model_of("64", {"linear 64", "tanh", "tanh", "tanh", "tanh"});
  auto slow_caches = shipped;
  slow_caches.cache_bytes_per_second = 1e6;
  std::vector<base::Violation> violations;
  const Cut cut{.stages = 2, .samples = 64};
  EXPECT_EQ(partition(model, unplaced(model), cut, shipped, violations), (step::Partition{0, 1, 5}));
  EXPECT_GT(partition(model, unplaced(model), cut, slow_caches, violations)[1], 1);
}

/// A stage of half the speed takes half as much: of twelve equal layers four, not six.
TEST(Partition, GivesSlowStagesLess) {
  const auto model = model_of("64", std::vector<std::string>(12, "linear 64"));
  std::vector<base::Violation> violations;
  const auto cut = [&](const std::vector<Paces>& paces) {
    return partition(model, unplaced(model), {.stages = 2, .samples = 64, .paces = paces}, shipped,
                     violations)[1];
  };
  EXPECT_EQ(cut({}), 6);
  EXPECT_EQ(cut({{{0, 1}}, {{0, 0.5}}}), 8);
  EXPECT_EQ(cut({{{0, 0.5}}, {{0, 1}}}), 4);
}

/// Ranks of another machine, of whose stage the slowest counts: one with a third of the FLOPs takes a third
/// of the layers.
TEST(Partition, GivesStagesOfASlowMachineLess) {
  const auto model = model_of("64", std::vector<std::string>(12, "linear 64"));
  auto machine = shipped;
  machine.parts = {{.first = 1, .last = 1, .machine = shipped}};
  machine.parts[0].machine.flops_per_second /= 3;
  const auto cut = [&](const topology::GridExtent& grid, const std::map<int, double>& speed = {}) {
    std::vector<base::Violation> violations;
    return choose(model, {.grid = grid, .batch = 64, .speed = speed}, machine, violations).partition;
  };
  EXPECT_EQ(cut({.pipeline = 2}), (step::Partition{0, 9, 12}));
  EXPECT_EQ(cut({.data = 2, .pipeline = 2}), (step::Partition{0, 9, 12})) << "rank 3 is fast, rank 1 is not";
  EXPECT_EQ(cut({.pipeline = 2}, {{1, 3.0}}), (step::Partition{0, 6, 12})) << "as fast as the other again";
  EXPECT_EQ(cut({.pipeline = 3}), (step::Partition{0, 6, 7, 12}));
}

/// Where each kernel takes its time whatever it computes, stages have equally many of them.
TEST(Partition, CountsCalls) {
  const auto model = model_of("64", {"linear 64", "tanh", "tanh", "tanh", "tanh", "tanh"});
  auto slow_calls = shipped;
  slow_calls.call_seconds = 1;
  std::vector<base::Violation> violations;
  EXPECT_EQ(partition(model, unplaced(model), {.stages = 2, .samples = 64}, slow_calls, violations)[1], 3);
}

}  // namespace
}  // namespace partita::plan
