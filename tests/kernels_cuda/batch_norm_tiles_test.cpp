/// How batch normalisation on a GPU is cut into blocks, on the host: every number against its definition.
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

#include "batch_norm/tiles.hpp"

namespace partita::kernels::cuda::batch_norm {
namespace {

std::vector<BatchNormShape> ragged_shapes() {
  std::vector<BatchNormShape> shapes;
  for (const std::int64_t batch : {1, 15, 16, 17, 100, 5000})
    for (const std::int64_t channels : {1, 2, 10, 127, 128, 129, 600})
      for (const auto& [height, width] :
           std::vector<std::array<std::int64_t, 2>>{{1, 1}, {1, 3}, {4, 8}, {8, 16}, {16, 16}, {13, 11}})
        shapes.push_back({.batch = batch, .channels = channels, .height = height, .width = width});
  return shapes;
}

TEST(BatchNormTiles, ChunksAreTheBatch) {
  for (const auto& s : ragged_shapes()) {
    const auto g = geometry(s);
    EXPECT_GE(static_cast<std::int64_t>(g.chunks) * g.of_chunk, s.batch);
    EXPECT_LT(static_cast<std::int64_t>(g.chunks - 1) * g.of_chunk, s.batch);
    EXPECT_LT(static_cast<std::int64_t>(g.chunks - 1) * g.tiles, enough_blocks);
  }
}

/// The few channels of a small network and the many of a large one keep a chip busy.
TEST(BatchNormTiles, AreEnoughForEveryMultiprocessor) {
  const auto blocks = [](const BatchNormShape& s) { return geometry(s).tiles * geometry(s).chunks; };
  EXPECT_GE(blocks({.batch = 64, .channels = 10, .height = 24, .width = 24}), 132);
  EXPECT_GE(blocks({.batch = 64, .channels = 512, .height = 8, .width = 8}), 2 * 132);
  EXPECT_GE(blocks({.batch = 256, .channels = 4096}), 2 * 132);
  EXPECT_GE(blocks({.batch = 256, .channels = 64, .height = 32, .width = 32}), 2 * 132);
}

TEST(BatchNormTiles, HaveEachColumnOfEachChannelOnce) {
  for (const auto& s : ragged_shapes()) {
    const auto g = geometry(s);
    const std::int64_t pixels = s.height * s.width;
    std::vector<int> seen(static_cast<std::size_t>(s.channels * pixels));
    for (int t = 0; t < g.tiles; ++t) {
      const auto tile = tile_at(g, t);
      for (int c = tile.first_channel; c < tile.first_channel + tile.channels; ++c) {
        const auto [begin, end] = columns_of(g, tile, c);
        ASSERT_LT(begin, end) << "a tile has no part in its channel";
        const auto [first, last] = tiles_of(g, c);
        ASSERT_TRUE(first <= t && t < last && last - first <= most_tiles_of_a_channel(g));
        for (int column = begin; column < end; ++column) {
          ASSERT_EQ((tile.first_column + column) / pixels, c);
          ASSERT_EQ(channel_at(g, tile, column), c - tile.first_channel);
          ++seen[static_cast<std::size_t>(tile.first_column + column)];
        }
      }
    }
    ASSERT_EQ(seen, std::vector<int>(seen.size(), 1));
  }
}

TEST(BatchNormTiles, PutEachPartIntoAPlaceOfItsOwn) {
  for (const auto& s : ragged_shapes()) {
    const auto g = geometry(s);
    const bool whole = has_whole_channels(g);
    const auto room = whole ? Elements(2 * s.channels) : elements_of_parts(g);
    std::vector<double> memory(static_cast<std::size_t>(room.value()));
    const Parts parts = whole ? whole_sums(g, memory.data()) : parts_in(g, memory.data());
    std::set<const double*> places;
    for (int chunk = 0; chunk < g.chunks; ++chunk)
      for (const int which : {0, 1})
        for (int c = 0; c < g.channels; ++c)
          for (int tile = tiles_of(g, c).begin; tile < tiles_of(g, c).end; ++tile) {
            const double* const place = &parts.at(chunk, which, tile, c);
            ASSERT_TRUE(places.insert(place).second) << "two parts in one place";
            ASSERT_TRUE(place >= memory.data() && place < memory.data() + memory.size());
            if (whole) {
              ASSERT_EQ(place - memory.data(), which * g.channels + c);
            }
          }
  }
}

TEST(BatchNormTiles, OfNothingAreNone) {
  EXPECT_EQ(geometry({.batch = 0, .channels = 3}).chunks, 0);
  EXPECT_EQ(geometry({.batch = 3, .channels = 0}).tiles, 0);
  EXPECT_EQ(geometry({.batch = 3, .channels = 3, .height = 0}).tiles, 0);
  for (const auto& s : {BatchNormShape{.batch = 0, .channels = 3}, BatchNormShape{.batch = 3}})
    EXPECT_EQ(elements_of_parts(geometry(s)).value(), 0);
}

}  // namespace
}  // namespace partita::kernels::cuda::batch_norm
