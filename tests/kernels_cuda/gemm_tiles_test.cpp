/// The tiles' arithmetic, which needs no device: every element is some block's and only one's, pieces of a
/// sum meet end to end, loads and stores of shared memory meet each bank once.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "gemm/ladder.hpp"
#include "gemm/split_k.hpp"
#include "gemm/tile_copy.hpp"

namespace partita::tests {
namespace {

using namespace kernels::cuda::gemm;

constexpr std::int64_t ragged[] = {0, 1, 3, 7, 8, 9, 31, 32, 33, 63, 65, 127, 128, 129, 130, 257, 1000};

Arguments product(std::int64_t m, std::int64_t n, std::int64_t k) { return {.m = m, .n = n, .k = k}; }

TEST(GemmTiles, CoverEachElementOnce) {
  for (const std::int64_t m : ragged)
    for (const std::int64_t n : ragged)
      for (const int band : {1, 3, 16}) {
        const TileGrid grid = tile_grid(product(m, n, 1), 32, 64);
        EXPECT_TRUE(grid.rows * 32 >= m && (grid.rows - 1) * 32 < m);
        EXPECT_TRUE(grid.columns * 64 >= n && (grid.columns - 1) * 64 < n);
        std::set<std::pair<int, int>> seen;
        for (int i = 0; i < grid.tiles(); ++i) {
          const TilePlace tile = tile_at(i, grid, band);
          EXPECT_TRUE(tile.row >= 0 && tile.row < grid.rows && tile.column >= 0 &&
                      tile.column < grid.columns);
          EXPECT_TRUE(seen.emplace(tile.row, tile.column).second);
        }
      }
}

TEST(GemmTiles, AreThereForRowSumsOfNoColumns) {
  Arguments p = product(40, 0, 3);
  EXPECT_EQ(0, tile_grid(p, 32, 32).tiles());
  float sums = 0;
  p.row_sums = &sums;
  EXPECT_EQ(2, tile_grid(p, 32, 32).tiles());
}

TEST(GemmTiles, PiecesOfASumMeet) {
  for (const std::int64_t k : ragged)
    for (int pieces = 1; pieces <= 9; ++pieces) {
      int end = 0;
      for (int i = 0; i < pieces; ++i) {
        const KRange range = k_range(k, 16, pieces, i);
        EXPECT_EQ(end, range.begin);
        EXPECT_TRUE(range.end >= range.begin && (range.begin % 16 == 0 || range.begin == k));
        end = range.end;
      }
      EXPECT_EQ(k, end);
    }
}

TEST(GemmTiles, LanesCoverTheirWarp) {
  for (const int lanes_n : {4, 8}) {
    std::set<std::pair<int, int>> seen;
    for (int lane = 0; lane < 32; ++lane) {
      const int row = lane_row(lane, lanes_n), column = lane_column(lane, lanes_n);
      EXPECT_TRUE(row >= 0 && row < 32 / lanes_n && column >= 0 && column < lanes_n);
      EXPECT_TRUE(seen.emplace(row, column).second);
      EXPECT_EQ(column, lane_column(lane ^ 1, lanes_n));
      EXPECT_EQ(row, lane_row(lane ^ 2, lanes_n));
    }
  }
}

/// Reads of eight lanes' 16 bytes each: eight rows' same piece of a swizzled tile.
TEST(GemmTiles, SwizzledPiecesMeetNoBankTwice) {
  for (const int row_bytes : {128, 256, 512})
    for (int first = 0; first < 64; first += 8)
      for (int piece = 0; piece < row_bytes / 16; ++piece) {
        std::set<int> banks;
        for (int row = first; row < first + 8; ++row)
          banks.insert(swizzled_piece(row, piece, row_bytes) / 16 % 8);
        EXPECT_EQ(8u, banks.size());
      }
  std::set<int> places;
  for (int row = 0; row < 16; ++row)
    for (int piece = 0; piece < 16; ++piece)
      places.insert(swizzled_piece(row, piece, 256));
  EXPECT_EQ(256u, places.size());
}

/// A warp writes eight k of four neighbours of a [k][r] tile, 4 bytes each.
TEST(GemmTiles, CopiesAlongKMeetNoBankTwice) {
  for (const int extent : {32, 64, 128, 256}) {
    std::set<int> banks;
    for (int lane = 0; lane < 32; ++lane)
      banks.insert((lane % 8 * tile_pitch(extent) + lane / 8) % 32);
    EXPECT_EQ(32u, banks.size());
    EXPECT_EQ(0, tile_pitch(extent) % 4);
  }
}

TEST(GemmTiles, SplitsDependOnShapeAndChip) {
  EXPECT_EQ(1, split_of(product(0, 0, 0), 132).pieces);
  EXPECT_EQ(1, split_of(product(64, 64, 127), 132).pieces);
  EXPECT_EQ(2, split_of(product(64, 64, 128), 132).pieces);
  EXPECT_EQ(64, split_of(product(64, 64, 1 << 20), 132).pieces);
  EXPECT_EQ(1, split_of(product(4096, 4096, 4096), 132).pieces);
  EXPECT_EQ(20, split_of(product(784, 128, 4096), 132).pieces);
  EXPECT_EQ(0, split_floats(product(784, 128, 4096), 1));
  EXPECT_EQ(20 * 784 * 128, split_floats(product(784, 128, 4096), 20));
}

TEST(GemmTiles, LargeProductsGetWideTilesAndNarrowOnesSmall) {
  EXPECT_EQ(TileShape::wide, choose_tile(product(4096, 4096, 4096), true, 132));
  EXPECT_EQ(TileShape::wide, choose_tile(product(8192, 8192, 8192), true, 132));
  EXPECT_EQ(TileShape::medium, choose_tile(product(8192, 8192, 8192), false, 132));
  EXPECT_EQ(TileShape::small, choose_tile(product(100, 10, 128), true, 132));
  EXPECT_EQ(TileShape::small, choose_tile(product(100, 128, 784), true, 132));
  EXPECT_EQ(TileShape::medium, choose_tile(product(4096, 128, 784), true, 132));
}

TEST(GemmTiles, GridsHaveABlockForEachTileAndPiece) {
  const auto shape = tile_launch(tile_grid(product(65, 33, 9), 32, 32), 64, 1000, 3);
  EXPECT_EQ(3u * 2 * 3, shape.grid.x);
  EXPECT_EQ(64u, shape.block.x);
  EXPECT_EQ(1000u, shape.shared_bytes);
}

}  // namespace
}  // namespace partita::tests
