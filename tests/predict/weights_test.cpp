/// Candidates whose data ranks have shares as large as they are fast.
#include <gtest/gtest.h>

#include <algorithm>

#include "partita/predict/replan.hpp"
#include "runs.hpp"

namespace partita::predict {
namespace {

using Speed = std::map<int, double>;

std::vector<Candidate> weighted(const config::RunOptions& run, const topology::GridExtent& grid,
                                const machine::Machine& machine, const Speed& speed) {
  Splitter splitter(run, machine, speed);
  auto all = splitter.variants_of({.grid = grid, .pipeline = {.microbatches = grid.pipeline}});
  std::erase_if(all, [](const Candidate& candidate) { return candidate.weights.empty(); });
  return all;
}

config::RunOptions large_run() {
  auto run = run_of(tests::model_of("40", {"linear 64", "relu", "linear 50", "relu", "linear 6"}), 900);
  run.sync.bucket_bytes = kernels::Bytes(1 << 20);
  return run;
}

machine::Machine plain_machine() {
  auto machine = machine::Machine::shipped();
  machine.kernels.clear();
  machine.call_seconds = 1e-6;
  return machine;
}

/// Seconds that the busiest rank of each data rank computes.
std::vector<double> busy_by_data(const Subject& subject, const Supposed& supposed) {
  std::vector<double> busiest(static_cast<std::size_t>(subject.split.plan.grid.data));
  const auto busy = busy_seconds_of(subject, supposed);
  for (std::size_t rank = 0; rank < busy.size(); ++rank) {
    auto& most = busiest[static_cast<std::size_t>(
        topology::coordinate_of(subject.split.plan.grid, static_cast<int>(rank)).data)];
    most = std::max(most, busy[rank]);
  }
  return busiest;
}

TEST(Weights, LevelWhatDataRanksCompute) {
  const auto run = large_run();
  const auto machine = plain_machine();
  for (const topology::GridExtent grid : {topology::GridExtent{.data = 2}, topology::GridExtent{.data = 5},
                                          topology::GridExtent{.data = 3, .tensor = 2}})
    for (const Speed& speed : {Speed{{1, 0.25}}, Speed{{0, 3}, {1, 0.5}}}) {
      const auto all = weighted(run, grid, machine, speed);
      ASSERT_EQ(all.size(), grid.tensor == 1 ? 1U : default_choices) << to_string(grid);
      const auto subject = *subject_of_candidate(run, all.front(), machine, speed);
      const auto busy = busy_by_data(subject, {.machine = machine, .speed = speed});
      const auto [least, most] = std::ranges::minmax(busy);
      EXPECT_GT(least, 0.96 * most) << all.front().name();
      const auto even = *subject_of_candidate(run, all.front().without_variant(), machine, speed);
      const auto uneven_busy = std::ranges::minmax(busy_by_data(even, {.machine = machine, .speed = speed}));
      EXPECT_GT(uneven_busy.max, 1.2 * most);
    }
}

TEST(Weights, AreOfTheMachinesOfTheirRanks) {
  auto machine = plain_machine();
  auto slower = machine;
  slower.flops_per_second /= 4, slower.main_bytes_per_second /= 4, slower.cache_bytes_per_second /= 4;
  slower.call_seconds *= 4;
  machine.parts = {{.first = 2, .last = 3, .machine = slower}};
  const auto of_data = weighted(large_run(), {.data = 4}, machine, {});
  ASSERT_EQ(of_data.size(), 1U);
  const auto& weights = of_data.front().weights;
  EXPECT_EQ(weights[0], 1000);
  EXPECT_EQ(weights[1], 1000);
  EXPECT_EQ(weights[2], weights[3]);
  EXPECT_LT(weights[2], 250) << "updates take as long whatever the samples";
  EXPECT_GT(weights[2], 100);
  EXPECT_EQ(of_data.front().name(),
            "data=4 pipeline=1 tensor=1, weights 2x1000+2x" + std::to_string(static_cast<int>(weights[2])));
  // A slower stage of each data rank leaves them alike.
  machine.parts = {{.first = 1, .last = 1, .machine = slower}, {.first = 3, .last = 3, .machine = slower}};
  EXPECT_EQ(topology::rank_of({.data = 2, .pipeline = 2}, {.data = 1}), 2);
  EXPECT_TRUE(weighted(large_run(), {.data = 2, .pipeline = 2}, machine, {}).empty());
  EXPECT_FALSE(weighted(large_run(), {.data = 4}, machine, {}).empty());
}

/// A rank that takes longer without any sample than the others with all has next to none.
TEST(Weights, LeaveHopelessRanksNextToNothing) {
  const auto all = weighted(large_run(), {.data = 3}, plain_machine(), {{2, 1e-6}});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.front().weights, (std::vector<double>{1000, 1000, 1}));
}

TEST(Weights, AreNoneWhereRanksAreAlikeOrTheRunSaysOtherwise) {
  const auto machine = plain_machine();
  EXPECT_TRUE(weighted(large_run(), {.data = 3}, machine, {}).empty());
  EXPECT_TRUE(weighted(large_run(), {.data = 3}, machine, {{0, 2}, {1, 2}, {2, 2}}).empty()) << "all as fast";
  EXPECT_TRUE(weighted(large_run(), {.tensor = 3}, machine, {{0, 2}}).empty()) << "no data axis";
  EXPECT_TRUE(weighted(large_run(), {.data = 2, .tensor = 2}, machine, {{0, 0.5}, {2, 0.5}}).empty())
      << "every data rank is as slow as its slowest rank";
  const Speed slow{{1, 0.25}};
  ASSERT_FALSE(weighted(large_run(), {.data = 3}, machine, slow).empty());
  auto given = large_run();
  given.weights = {1, 2, 1};
  EXPECT_TRUE(weighted(given, {.data = 3}, machine, slow).empty());
  auto measured = large_run();
  measured.measures_weights = true;
  EXPECT_TRUE(weighted(measured, {.data = 3}, machine, slow).empty());
  auto deterministic = large_run();
  deterministic.train.deterministic = true;
  EXPECT_TRUE(weighted(deterministic, {.data = 2}, machine, slow).empty());
}

/// Stages are cut for what the data ranks that decide have to do: here all take as long whatever their speed.
TEST(Weights, CountWhereStagesAreCut) {
  const auto run = run_of(tests::model_of("64", {"linear 64", "linear 64", "linear 64", "linear 64"}), 400);
  const auto machine = plain_machine();
  // Both ranks of data rank 1 are slow: with fewer samples they are no reason to cut otherwise.
  const topology::GridExtent grid{.data = 2, .pipeline = 2};
  Speed speed;
  for (int stage = 0; stage < 2; ++stage)
    speed[topology::rank_of(grid, {.data = 1, .pipeline = stage})] = 0.25;
  const auto all = weighted(run, grid, machine, speed);
  ASSERT_FALSE(all.empty());
  const auto subject = *subject_of_candidate(run, all.front(), machine, speed);
  EXPECT_EQ(subject.split.plan.partition, (step::Partition{0, 2, 4}));
}

TEST(Weights, WinASearchWhereOneRankIsSlow) {
  const auto run = large_run();
  const auto machine = plain_machine();
  const auto plans = search(run, 2, machine, collective::AlgorithmTable::shipped(), {.speed = {{1, 0.25}}});
  const auto& best = plans.outcomes.front();
  EXPECT_FALSE(best.candidate.weights.empty()) << best.candidate.name();
  EXPECT_EQ(with(run, best.candidate).weights, best.candidate.weights);
  for (const auto& outcome : plans.outcomes)
    EXPECT_TRUE(outcome.candidate.weights.empty() || outcome.known_as.empty()) << outcome.candidate.name();
}

}  // namespace
}  // namespace partita::predict
