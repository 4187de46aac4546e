/// Speed-up and efficiency of runs that differ in their grid only.
#include "partita/results/scaling.hpp"

#include <gtest/gtest.h>

#include "partita/config/options.hpp"
#include "sample_record.hpp"

namespace partita::results::test {
namespace {

/// Two runs of `batch` samples in `seconds` a step.
RunGroup on(topology::GridExtent grid, std::int64_t batch, double seconds, const std::string& config = "") {
  RunGroup group{.name = to_string(grid), .runs = {}};
  for (const char* run : {"first", "second"}) {
    auto record = sample_record(45, grid.size());
    record.attributes.grid = grid;
    record.attributes.batch = batch;
    record.attributes.config = "[grid]\ndata = " + std::to_string(grid.data) +
                               "\n[train]\nbatch = " + std::to_string(batch) + "\n" + config;
    record.steps.samples.assign(45, batch);
    record.steps.seconds.assign(45, seconds);
    group.runs.push_back({.path = group.name + run, .record = record});
  }
  return group;
}

std::vector<ScalingRow> rows_of(const std::vector<RunGroup>& groups) {
  return scaling_table(groups, config::role_of).rows;
}

std::vector<std::string> obstacles_of(const std::vector<RunGroup>& groups) {
  return scaling_table(groups, config::role_of).obstacles;
}

TEST(Scaling, IsStrongWhereTheGlobalBatchIsEqual) {
  const auto rows =
      rows_of({on({}, 64, 0.010), on({.data = 2}, 64, 0.006), on({.data = 2, .pipeline = 2}, 64, 0.004)});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].speed_up, 1);
  EXPECT_EQ(rows[0].efficiency, 1);
  EXPECT_NEAR(rows[1].speed_up, 10.0 / 6, 1e-12);
  EXPECT_NEAR(rows[1].efficiency, 10.0 / 12, 1e-12);
  EXPECT_EQ(rows[2].ranks, 4);
  EXPECT_NEAR(rows[2].efficiency, 10.0 / 16, 1e-12);
  for (const auto& row : rows)
    EXPECT_EQ(row.kind, Scaling::strong);
}

TEST(Scaling, IsWeakWhereTheBatchOfADataRankIs) {
  const auto rows = rows_of({on({.data = 2}, 64, 0.010), on({.data = 6}, 192, 0.0125)});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].kind, Scaling::weak);
  EXPECT_NEAR(rows[1].samples_per_second, 192 / 0.0125, 1e-6);
  EXPECT_NEAR(rows[1].speed_up, 3 * 0.8, 1e-12) << "against two ranks, not one";
  EXPECT_NEAR(rows[1].efficiency, 0.8, 1e-12);
}

TEST(Scaling, IsShownOnlyWhereNothingButTheGridDiffersAndSaysWhatElseDoes) {
  const auto one = on({}, 64, 0.010);
  using Names = std::vector<std::string>;
  EXPECT_TRUE(rows_of({one, on({}, 64, 0.008)}).empty()) << "the same grid";
  const auto faster = on({.data = 2}, 64, 0.006, "learning-rate = 0.5\nmomentum = 0.9\n");
  EXPECT_TRUE(rows_of({one, faster}).empty());
  EXPECT_EQ(obstacles_of({one, faster}), (Names{"train.learning-rate", "train.momentum"}));
  for (const char* free : {"seed = 9\n", "[data]\ndir = /elsewhere\n", "[log]\nmlperf = true\n",
                           "[timeline]\nsteps = 3\n", "[infer]\nbatch = 3\nwarmup = 1\n"}) {
    EXPECT_FALSE(rows_of({one, on({.data = 2}, 64, 0.006, free)}).empty()) << free;
    EXPECT_EQ(obstacles_of({one, on({.data = 2}, 64, 0.006, free)}), Names{}) << free;
  }
  EXPECT_TRUE(rows_of({one, on({.data = 2}, 65, 0.006)}).empty()) << "neither batch is equal";
  auto other = on({.data = 2}, 64, 0.006);
  for (auto& run : other.runs)
    run.record.attributes.precision = "bf16";
  EXPECT_TRUE(rows_of({one, other}).empty());
  auto without = on({.data = 2}, 64, 0.006);
  auto bare = on({}, 64, 0.010);
  for (auto* group : {&without, &bare})
    for (auto& run : group->runs)
      run.record.steps = {}, run.record.figures.clear();
  EXPECT_TRUE(rows_of({bare, without}).empty()) << "no throughput";
}

}  // namespace
}  // namespace partita::results::test
