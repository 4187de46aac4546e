/// Speed-up and efficiency of runs that differ in their grid only.
#include "partita/results/scaling.hpp"

#include <gtest/gtest.h>

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

TEST(Scaling, IsStrongWhereTheGlobalBatchIsEqual) {
  const auto rows = scaling_table(
      {on({}, 64, 0.010), on({.data = 2}, 64, 0.006), on({.data = 2, .pipeline = 2}, 64, 0.004)});
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
  const auto rows = scaling_table({on({.data = 2}, 64, 0.010), on({.data = 6}, 192, 0.0125)});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].kind, Scaling::weak);
  EXPECT_NEAR(rows[1].samples_per_second, 192 / 0.0125, 1e-6);
  EXPECT_NEAR(rows[1].speed_up, 3 * 0.8, 1e-12) << "against two ranks, not one";
  EXPECT_NEAR(rows[1].efficiency, 0.8, 1e-12);
}

TEST(Scaling, IsShownOnlyWhereNothingButTheGridDiffers) {
  const auto one = on({}, 64, 0.010);
  EXPECT_TRUE(scaling_table({one, on({}, 64, 0.008)}).empty()) << "the same grid";
  EXPECT_TRUE(scaling_table({one, on({.data = 2}, 64, 0.006, "learning-rate = 0.5\n")}).empty());
  EXPECT_FALSE(scaling_table({one, on({.data = 2}, 64, 0.006, "seed = 9\n")}).empty());
  EXPECT_TRUE(scaling_table({one, on({.data = 2}, 65, 0.006)}).empty()) << "neither batch is equal";
  auto other = on({.data = 2}, 64, 0.006);
  for (auto& run : other.runs)
    run.record.attributes.precision = "bf16";
  EXPECT_TRUE(scaling_table({one, other}).empty());
  auto without = on({.data = 2}, 64, 0.006);
  auto bare = on({}, 64, 0.010);
  for (auto* group : {&without, &bare})
    for (auto& run : group->runs)
      run.record.steps = {}, run.record.figures.clear();
  EXPECT_TRUE(scaling_table({bare, without}).empty()) << "no throughput";
}

}  // namespace
}  // namespace partita::results::test
