/// Grids of strategies, and the default number of micro-batches.
#include "partita/plan/grid.hpp"

#include <gtest/gtest.h>

namespace partita::plan {
namespace {

TEST(Grid, OfAStrategyHasAllRanks) {
  for (int ranks = 1; ranks <= 64; ++ranks) {
    EXPECT_EQ(grid_of(Strategy::none, ranks, {}), (topology::GridExtent{.data = ranks}));
    EXPECT_EQ(grid_of(Strategy::data, ranks, {}), (topology::GridExtent{.data = ranks}));
    EXPECT_EQ(grid_of(Strategy::layer, ranks, {}), (topology::GridExtent{.pipeline = ranks}));
    EXPECT_EQ(grid_of(Strategy::tensor, ranks, {}), (topology::GridExtent{.tensor = ranks}));
    for (const int stages : {1, 2, 5, 100}) {
      const auto grid = grid_of(Strategy::hybrid, ranks, {.most_stages = stages});
      EXPECT_EQ(grid.size(), ranks);
      EXPECT_LE(grid.pipeline, stages);
    }
  }
  EXPECT_EQ(grid_of(Strategy::hybrid, 8, {.most_stages = 5}), (topology::GridExtent{2, 2, 2}));
  EXPECT_EQ(grid_of(Strategy::hybrid, 30, {.most_stages = 5}), (topology::GridExtent{5, 3, 2}));
}

TEST(Grid, OfADeterministicHybridDividesTheGrains) {
  for (int ranks = 1; ranks <= 64; ++ranks) {
    EXPECT_EQ(grid_of(Strategy::hybrid, ranks, {.most_stages = 100, .whole_tensors = true}).tensor, 1);
    const auto grid = grid_of(Strategy::hybrid, ranks, {.most_stages = 100, .grains = 8});
    EXPECT_EQ(grid.size(), ranks);
    EXPECT_EQ(grid.tensor, 1);
    EXPECT_EQ(8 % grid.data, 0) << ranks;
  }
}

TEST(Grid, GivesEachStageFourMicrobatchesAsFarAsSamplesGo) {
  EXPECT_EQ(default_microbatches({.data = 4}, 64), 1);
  EXPECT_EQ(default_microbatches({.pipeline = 3}, 64), 12);
  EXPECT_EQ(default_microbatches({.data = 2, .pipeline = 3}, 13), 7);
  EXPECT_EQ(default_microbatches({.pipeline = 2}, 1), 1);
}

}  // namespace
}  // namespace partita::plan
