/// Names of what a predicted step hangs on.
#include "partita/predict/critical_path.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "runs.hpp"

namespace partita::predict {
namespace {

machine::Picoseconds sum_of(const std::vector<PathShare>& shares) {
  return std::accumulate(shares.begin(), shares.end(), machine::Picoseconds{0},
                         [](auto sum, const auto& share) { return sum + share.time; });
}

/// The share of resources whose names begin so.
double share_of(const std::vector<PathShare>& shares, std::string_view beginning) {
  machine::Picoseconds time = 0;
  for (const auto& share : shares)
    if (share.resource.starts_with(beginning)) time += share.time;
  return static_cast<double>(time) / static_cast<double>(sum_of(shares));
}

struct Explained {
  Prediction prediction;
  std::vector<PathShare> shares;
};

Explained explain(const config::RunOptions& run, const topology::GridExtent& grid,
                  const machine::Machine& machine, int microbatches, std::string_view what_if = "") {
  const auto subject = subject_on(run, grid, machine, microbatches);
  std::vector<base::Violation> none;
  const auto supposed = suppose(machine, what_if, static_cast<int>(grid.size()), none);
  EXPECT_TRUE(none.empty());
  Explained explained{.prediction = predict(subject, supposed, subject.split.batch, 4), .shares = {}};
  explained.shares = critical_path_of(subject, supposed.machine, explained.prediction);
  return explained;
}

TEST(CriticalPath, SharesAddUpToTheStep) {
  std::mt19937 random(5);
  int even = 0;
  for (int i = 0; i < 30; ++i) {
    auto machine = random_machine(random);
    if (i % 2 == 1) machine.progress = machine::Progress::polled;
    const topology::GridExtent grid{.data = 1 + i % 3, .pipeline = 1 + i / 3 % 2, .tensor = 1 + i / 6 % 2};
    const auto [prediction, shares] = explain(random_run(random), grid, machine, 2);
    const auto& simulation = prediction.simulation;
    const int last = static_cast<int>(simulation.steps.size()) - 1;
    const auto step = simulation.end_of(last) - simulation.end_of(last - 1);
    EXPECT_EQ(sum_of(shares), step) << i;
    even += step == simulation.step_duration() ? 1 : 0;
    for (const auto name : {&PathShare::resource, &PathShare::layer}) {
      machine::Picoseconds sum = 0, before = sum_of(shares);
      for (const auto& [word, time] : added_up(shares, name)) {
        EXPECT_FALSE(word.empty());
        EXPECT_LE(time, before) << "the longest first";
        sum += before = time;
      }
      EXPECT_EQ(sum, step) << i;
    }
  }
  EXPECT_GT(even, 20);
}

TEST(CriticalPath, OfOneRankIsItsKernels) {
  const auto run = run_of(tests::model_of("1x9x9", {"conv 4 kernel=3", "relu", "flatten", "linear 7"}), 16);
  const auto shares = explain(run, {}, machine::Machine::shipped(), 1).shares;
  EXPECT_EQ(share_of(shares, "kernels "), 1);
  std::set<std::string> resources, layers;
  for (const auto& share : shares)
    resources.insert(share.resource), layers.insert(share.layer);
  for (const auto* const name : {"kernels conv", "kernels linear", "kernels load", "kernels update"})
    EXPECT_TRUE(resources.contains(name)) << name << ": " << testing::PrintToString(resources);
  EXPECT_TRUE(layers.contains("conv1+relu") || layers.contains("conv1")) << testing::PrintToString(layers);
}

/// Figures that are made a million times worse take nearly all of the step, by the names that --what-if has
/// for them.
TEST(CriticalPath, HangsOnTheFigureThatIsWorst) {
  auto run = run_of(tests::model_of("20", {"linear 30", "relu", "linear 20", "linear 10"}), 24);
  run.sync.algorithm = collective::Algorithm::ring;
  std::mt19937 random(3);
  const auto machine = random_machine(random);  // nodes of three ranks
  for (const auto* const figure :
       {"network.node.latency", "network.cluster.latency", "network.node.bandwidth",
        "network.cluster.bandwidth", "network.node.overhead", "network.cluster.overhead"}) {
    const bool is_rate = std::string_view(figure).ends_with("bandwidth");
    const auto worst = std::string(figure) + (is_rate ? "=0.000001x" : "=1000000x");
    const auto shares = explain(run, {.data = 3, .pipeline = 2}, machine, 2, worst).shares;
    EXPECT_GT(share_of(shares, figure), 0.95) << figure;
    EXPECT_EQ(shares.front().resource, figure);
  }
  const auto slow = explain(run, {.data = 3, .pipeline = 2}, machine, 2, "compute.speed=0.000001x").shares;
  EXPECT_GT(share_of(slow, "kernels "), 0.95);
  EXPECT_GT(share_of(slow, "kernels linear"), 0.8);
}

/// Gradients are of the layers of their bucket, activations of the layer that made them.
TEST(CriticalPath, MessagesAreOfLayers) {
  auto run = run_of(tests::model_of("20", {"linear 30", "linear 20", "linear 10"}), 24);
  run.sync.algorithm = collective::Algorithm::ring;
  run.sync.bucket_bytes = kernels::Bytes(1);
  std::mt19937 random(3);
  const auto machine = random_machine(random);
  const auto share_of_layers = [&](const topology::GridExtent& grid, std::string_view beginning) {
    auto shares = explain(run, grid, machine, 4, "network.latency=1000000x").shares;
    std::erase_if(shares, [](const auto& share) { return !share.resource.ends_with("latency"); });
    for (auto& share : shares)
      share.resource = share.layer;
    return share_of(shares, beginning);
  };
  EXPECT_GT(share_of_layers({.data = 2}, "gradients of linear"), 0.5);
  EXPECT_GT(share_of_layers({.pipeline = 2}, "linear"), 0.3);
}

TEST(CriticalPath, IsOfFullDepth) {
  const auto run = run_of(tests::model_of("20", {"linear 30", "linear 10"}), 24);
  const auto machine = machine::Machine::shipped();
  const auto subject = subject_on(run, {.data = 2}, machine, 1);
  const auto plane = predict(subject, {.machine = machine, .speed = {}}, 24, 3, sim::Depth::plane);
  EXPECT_TRUE(critical_path_of(subject, machine, plane).empty());
}

}  // namespace
}  // namespace partita::predict
