#include "partita/topology/grid.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "partita/base/digest.hpp"
#include "partita/topology/cut.hpp"

namespace partita::topology {

TEST(Cut, SharesCoverEverythingOnceAndDifferByAtMostOne) {
  for (std::int64_t p = 1; p <= 9; ++p)
    for (std::int64_t n = 0; n <= 40; ++n) {
      std::int64_t covered = 0;
      for (std::int64_t i = 0; i < p; ++i) {
        EXPECT_EQ(share(i, p, n).begin, covered);
        covered = share(i, p, n).end;
        EXPECT_LE(std::abs(share(i, p, n).size() * p - n), p - 1 + n % p);
        EXPECT_TRUE(share(i, p, n).size() == n / p || share(i, p, n).size() == n / p + 1);
      }
      EXPECT_EQ(covered, n);
    }
}

TEST(Cut, NestsWhenSharesAreJoined) {
  for (std::int64_t n : {7, 10, 64, 101})
    for (std::int64_t i = 0; i <= 3; ++i)
      EXPECT_EQ(cut(i * 4, 12, n), cut(i, 3, n));
}

TEST(Cut, DoesNotOverflow) {
  constexpr auto largest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(cut(1000, 1000, largest), largest);
}

TEST(Grid, RanksAndCoordinatesAreInverseWithTensorFastest) {
  const GridExtent grid{.data = 2, .pipeline = 3, .tensor = 4};
  for (int rank = 0; rank < 24; ++rank)
    EXPECT_EQ(rank_of(grid, coordinate_of(grid, rank)), rank);
  EXPECT_EQ(coordinate_of(grid, 1), (Coordinate{.data = 0, .pipeline = 0, .tensor = 1}));
  EXPECT_EQ(group_of(grid, 5, Axis::data), (std::vector<int>{5, 17}));
  EXPECT_EQ(group_of(grid, 5, Axis::pipeline), (std::vector<int>{1, 5, 9}));
}

TEST(Grid, NearestGridsChangeAsFewAxesAsPossible) {
  const auto grids = nearest_grids({.data = 3, .pipeline = 1, .tensor = 1}, 4);
  ASSERT_FALSE(grids.empty());
  EXPECT_EQ(grids.front(), (GridExtent{.data = 4, .pipeline = 1, .tensor = 1}));
  for (const auto& grid : grids)
    EXPECT_EQ(grid.size(), 4);
}

TEST(Sha256, MatchesThePublishedTestVector) {
  EXPECT_EQ(base::Sha256().update("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace partita::topology
