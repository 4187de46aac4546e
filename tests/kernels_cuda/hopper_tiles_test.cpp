/// The Hopper kernel's arithmetic without a device: every element of an operand is found where the copy
/// engine puts it, every sum has its place, every tile its turn.
#include "hopper_tiles.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "tensor_map.hpp"

namespace partita::kernels::cuda::gemm::hopper {
namespace {

/// What SWIZZLE_128B does to an address: bits 4–6 are xor-ed with bits 7–9 (CUDA driver API; CUTLASS
/// Swizzle<3, 4, 3>).
std::uint32_t swizzle(std::uint32_t address) { return address ^ ((address >> 7 & 7) << 4); }

/// Where the copy engine puts element (row, column) of a box of 128-byte rows of 2-byte elements.
std::uint32_t placed(std::uint32_t box, int row, int column) {
  return swizzle(box + static_cast<std::uint32_t>(row * 128 + column * 2));
}

/// Where the tensor cores look for element (mn, k) of an operand, by CUTLASS's canonical layouts for 128
/// bytes.
std::uint32_t looked_up(std::uint64_t descriptor, bool k_innermost, int mn, int k) {
  const auto field = [&](int bit) { return static_cast<std::uint32_t>(descriptor >> bit & 0x3FFF) * 16; };
  const std::uint32_t start = field(0), leading = field(16), stride = field(32);
  EXPECT_EQ(descriptor >> 62, 1u);           // 128-byte swizzle
  EXPECT_EQ(descriptor >> 46 & 0xFFFF, 0u);  // base offset and unused bits
  const std::uint32_t offset = k_innermost ? mn % 8 * 128 + mn / 8 * stride + k * 2
                                           : mn % 64 * 2 + mn / 64 * leading + k % 8 * 128 + k / 8 * stride;
  return swizzle(start + offset);
}

/// An operand of `extent` rows of M or N and 64 of k, loaded as hopper_pipeline.hpp does.
void check_operand(bool k_innermost, int extent, std::uint32_t base) {
  for (int mn = 0; mn < extent; ++mn)
    for (int k = 0; k < tile_k; ++k) {
      const auto expected =
          k_innermost ? placed(base, mn, k) : placed(base + mn / panel * panel_bytes, k, mn % panel);
      const auto low = descriptor_low(base, k_innermost) + k / instruction_k * descriptor_step(k_innermost);
      ASSERT_EQ(looked_up(matrix_descriptor(low), k_innermost, mn, k % instruction_k), expected)
          << mn << " " << k << " " << k_innermost;
    }
}

TEST(HopperTiles, TensorCoresLookWhereTheCopyEngineWrites) {
  for (const int tile_n : {128, 256})
    for (const bool k_innermost : {false, true})
      for (int stage = 0; stage < storage(tile_n).stages; ++stage) {
        const auto base = static_cast<std::uint32_t>(1024 + stage * storage(tile_n).stage_bytes);
        for (int consumer = 0; consumer < 2; ++consumer)
          check_operand(k_innermost, 64, base + consumer * panel_bytes);
        check_operand(k_innermost, tile_n, base + 2 * panel_bytes);
      }
}

TEST(HopperTiles, StorageFitsABlockAndPatternsLieOnTheirBoundaries) {
  for (const int tile_n : {128, 256}) {
    const auto s = storage(tile_n);
    EXPECT_LE(s.bytes, 227 * 1024);  // the most that a block of compute capability 9.0 may have
    EXPECT_EQ(s.stage_bytes % 1024, 0);
    EXPECT_EQ(s.panels_of_c % 1024, 0);
    EXPECT_GE(s.panels_of_c, s.stages * (tile_m + tile_n) * tile_k * 2);
    EXPECT_GE(s.row_sums, s.panels_of_c + 4 * panel_bytes);
    EXPECT_GE(s.barriers, s.row_sums + 2 * 4 * panel * 4);
    EXPECT_EQ(s.barriers % 8, 0);
    EXPECT_LT(s.stage_bytes, 1 << 20);  // what an mbarrier can count
  }
}

TEST(HopperTiles, EverySumHasOneElementOfC) {
  for (const int n : {128, 256}) {
    std::set<std::pair<int, int>> seen;
    for (int t = 0; t < 128; ++t)
      for (int i = 0; i < n / 2; ++i) {
        const int row = fragment_row(t, i), column = fragment_column(t, i);
        EXPECT_TRUE(row >= 0 && row < 64 && column >= 0 && column < n);
        seen.emplace(row, column);
        EXPECT_EQ(fragment_column(t, i | 1), fragment_column(t, i & ~1) + 1);  // pairs are stored together
      }
    EXPECT_EQ(seen.size(), std::size_t(64) * n);
  }
}

/// Bytes of a panel of C that a sum goes to, as hopper_store.hpp computes them.
int place_of(int t, int i, int element_bytes) {
  const int byte = fragment_column(t, i) * element_bytes;
  return swizzled(fragment_row(t, i), byte / 16) + byte % 16;
}

TEST(HopperTiles, PanelsOfCAreFilledAsTheCopyEngineReadsThem) {
  for (const int bytes : {2, 4}) {
    std::vector<int> element(panel_bytes, -1);
    const int columns = 128 / bytes;
    for (int t = 0; t < 128; ++t)
      for (int i = 0; i < columns / 2; ++i) {
        const int place = place_of(t, i, bytes), row = fragment_row(t, i), column = fragment_column(t, i);
        EXPECT_EQ(static_cast<std::uint32_t>(place),
                  swizzle(static_cast<std::uint32_t>(row * 128 + column * bytes)));
        EXPECT_EQ(element[place], -1);
        element[place] = row * columns + column;
      }
    for (int place = 0; place < panel_bytes; place += bytes)
      EXPECT_GE(element[place], 0);
  }
}

TEST(HopperTiles, StoresOfAPairMeetFewBanks) {
  for (const int bytes : {2, 4})
    for (int warp = 0; warp < 4; ++warp)
      for (int i = 0; i < 128 / bytes / 2; i += 2)
        for (int half = 0; half < bytes / 2; ++half) {  // 8-byte stores go half a warp at a time
          std::vector<int> met(32, 0);
          for (int lane = half * 16; lane < (bytes == 2 ? 32 : half * 16 + 16); ++lane)
            for (int word = 0; word < bytes / 2; ++word)
              ++met[place_of(warp * 32 + lane, i, bytes) / 4 % 32 + word];
          for (const int count : met)
            EXPECT_LE(count, bytes == 2 ? 1 : 2);
        }
}

TEST(HopperTiles, EveryTileHasItsTurnOnce) {
  for (int rows = 1; rows <= 35; ++rows)
    for (int columns = 1; columns <= 19; ++columns) {
      const Raster r{rows, columns};
      std::set<std::pair<int, int>> seen;
      for (int i = 0; i < r.tiles(); ++i) {
        const Tile tile = tile_at(i, r);
        EXPECT_TRUE(tile.row >= 0 && tile.row < rows && tile.column >= 0 && tile.column < columns);
        seen.emplace(tile.row, tile.column);
      }
      EXPECT_EQ(seen.size(), std::size_t(r.tiles())) << rows << " " << columns;
    }
}

TEST(HopperTiles, WhatIsWorkedOnTogetherIsNearlySquare) {
  const Raster r = raster(8192, 8192, 256);
  std::set<int> rows, columns;
  for (int i = 66; i < 132; ++i) {  // the second round of an H200's 66 clusters
    rows.insert(tile_at(i, r).row);
    columns.insert(tile_at(i, r).column);
  }
  EXPECT_LE(rows.size() + columns.size(), 18u);
}

TEST(HopperTiles, TilesCoverRaggedMatrices) {
  for (const std::int64_t m : {1, 127, 255, 256, 257, 4096})
    for (const std::int64_t n : {1, 128, 129, 4096})
      for (const int tile_n : {128, 256}) {
        const Raster r = raster(m, n, tile_n);
        EXPECT_GE(std::int64_t{r.rows} * cluster * tile_m, m);
        EXPECT_LT(std::int64_t{r.rows - 1} * cluster * tile_m, m);
        EXPECT_GE(std::int64_t{r.columns} * tile_n, n);
        EXPECT_LT(std::int64_t{r.columns - 1} * tile_n, n);
      }
}

TEST(HopperTiles, LargeProductsTakeWideTilesAndSmallOnesFillTheChip) {
  EXPECT_EQ(choose_tile_n(4096, 4096, 132), 256);
  EXPECT_EQ(choose_tile_n(8192, 8192, 132), 256);
  EXPECT_EQ(choose_tile_n(256, 128, 132), 128);
  EXPECT_EQ(choose_tile_n(1024, 1024, 132), 128);  // 16 wide tiles, or 32 narrow ones, for 66 clusters
}

TEST(TensorMap, SaysWhichMatricesItCanDescribe) {
  alignas(16) static unsigned char memory[64];
  const MatrixBoxes good{
      .data = memory, .rows = 3, .columns = 8, .row = 8, .box_rows = 64, .box_columns = 64};
  EXPECT_TRUE(has_tensor_map(good));
  const auto without = [&](auto change) {
    MatrixBoxes boxes = good;
    change(boxes);
    return !has_tensor_map(boxes);
  };
  EXPECT_TRUE(without([](auto& b) { b.data = memory + 2; }));
  EXPECT_TRUE(without([](auto& b) { b.row = 12; }));
  EXPECT_TRUE(without([](auto& b) { b.columns = 0; }));
  EXPECT_TRUE(without([](auto& b) { b.rows = 0; }));
  EXPECT_TRUE(without([](auto& b) { b.columns = 9; }));  // longer than a row
  EXPECT_TRUE(without([](auto& b) { b.box_rows = 257; }));
  EXPECT_TRUE(without([](auto& b) { b.box_columns = 65; }));
  EXPECT_TRUE(without([](auto& b) { b.rows = std::int64_t{1} << 31; }));
}

}  // namespace
}  // namespace partita::kernels::cuda::gemm::hopper
