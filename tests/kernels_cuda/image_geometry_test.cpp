/// Index arithmetic and tilings of convolution and pooling on a GPU, on the host: every number against its
/// definition.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "convolution/geometry.hpp"
#include "convolution/parameters.hpp"
#include "convolution/register_tile.hpp"
#include "pooling_geometry.hpp"

namespace partita::kernels::cuda {
namespace {

using namespace convolution;

TEST(ImageGeometry, DivisorsDivide) {
  std::mt19937 generator(7);
  std::uniform_int_distribution<int> any(0, 0x7fffffff);
  std::vector<int> divisors{1, 2, 3, 5, 7, 10, 25, 28, 49, 64, 576, 641, 65535, 65536, 1 << 30, 0x7fffffff};
  for (int i = 0; i < 200; ++i)
    divisors.push_back(1 + any(generator) % (1 << (1 + i % 30)));
  for (const int d : divisors) {
    const Divisor divisor(d);
    for (const std::int64_t near :
         {std::int64_t(0), std::int64_t(d), std::int64_t(d) * 2, std::int64_t(0x7fffffff) / d * d,
          std::int64_t(any(generator)), std::int64_t(0x7fffffff)})
      for (std::int64_t n = std::max<std::int64_t>(0, near - 2);
           n <= std::min<std::int64_t>(0x7fffffff, near + 2); ++n) {
        const auto [quotient, remainder] = divide(static_cast<int>(n), divisor);
        ASSERT_EQ(quotient, n / d) << n << " / " << d;
        ASSERT_EQ(remainder, n % d) << n << " % " << d;
      }
  }
  EXPECT_EQ(Divisor(0).quotient(17), 17);
}

std::vector<ConvolutionShape> ragged_shapes() {
  std::vector<ConvolutionShape> shapes;
  for (const Extent2 stride : {Extent2(1), Extent2(2), Extent2(3), Extent2(1, 2), Extent2(3, 1)})
    for (const Extent2 padding : {Extent2(0), Extent2(1), Extent2(2), Extent2(4), Extent2(0, 2)})
      for (const auto& [kernel_h, kernel_w] :
           std::vector<std::array<std::int64_t, 2>>{{1, 1}, {3, 3}, {2, 5}, {4, 1}})
        for (const auto& [height, width] :
             std::vector<std::array<std::int64_t, 2>>{{0, 3}, {1, 1}, {5, 7}, {8, 4}})
          for (const std::int64_t batch : {0, 1, 2})
            for (const auto& [channels, filters] :
                 std::vector<std::array<std::int64_t, 2>>{{0, 2}, {2, 3}, {3, 0}})
              shapes.push_back({.batch = batch,
                                .channels = channels,
                                .height = height,
                                .width = width,
                                .filters = filters,
                                .kernel = {kernel_h, kernel_w},
                                .stride = stride,
                                .padding = padding});
  return shapes;
}

TEST(ImageGeometry, ForwardTapsAreTheInputsUnderAWindow) {
  for (const auto& s : ragged_shapes()) {
    const Gather g = forward_gather(s);
    ASSERT_EQ(g.pixels, s.batch * s.out_height() * s.out_width());
    ASSERT_EQ(g.taps, s.channels * s.kernel.h * s.kernel.w);
    int pixel = 0;
    for (int n = 0; n < s.batch; ++n)
      for (int oh = 0; oh < s.out_height(); ++oh)
        for (int ow = 0; ow < s.out_width(); ++ow, ++pixel) {
          int index = 0;
          for (int c = 0; c < s.channels; ++c)
            for (int r = 0; r < s.kernel.h; ++r)
              for (int q = 0; q < s.kernel.w; ++q, ++index) {
                const auto h = oh * s.stride.h - s.padding.h + r, w = ow * s.stride.w - s.padding.w + q;
                const Anchor at = anchor(g, pixel);
                const Source from = source<false>(g, at, tap(g, index));
                const bool present = h >= 0 && h < s.height && w >= 0 && w < s.width;
                ASSERT_EQ(from.present, present);
                if (present) {
                  ASSERT_EQ(at.offset + from.offset, ((n * s.channels + c) * s.height + h) * s.width + w);
                }
                ASSERT_EQ(tap(g, index).weight, index);
              }
        }
    for (int beyond = 0; beyond < 3; ++beyond) {
      EXPECT_FALSE(source<false>(g, anchor(g, g.pixels + beyond), tap(g, 0)).present);
      EXPECT_FALSE(source<false>(g, anchor(g, 0), tap(g, g.taps + beyond)).present);
      EXPECT_FALSE(source<false>(g, anchor(g, g.pixels + beyond), tap(g, g.taps + beyond)).present);
      EXPECT_EQ(tap(g, g.taps + beyond).weight, -1);
    }
  }
}

TEST(ImageGeometry, TapsOfTheDataGradientAreTheWindowsOverAnInput) {
  for (const auto& s : ragged_shapes()) {
    const Gather g = data_gather(s);
    ASSERT_EQ(g.pixels, s.batch * s.height * s.width);
    ASSERT_EQ(g.taps, s.filters * s.kernel.h * s.kernel.w);
    int pixel = 0;
    for (int n = 0; n < s.batch; ++n)
      for (int h = 0; h < s.height; ++h)
        for (int w = 0; w < s.width; ++w, ++pixel) {
          int index = 0;
          for (int k = 0; k < s.filters; ++k)
            for (int r = 0; r < s.kernel.h; ++r)
              for (int q = 0; q < s.kernel.w; ++q, ++index) {
                const Anchor at = anchor(g, pixel);
                const Tap t = tap(g, index);
                const Source from = g.divides() ? source<true>(g, at, t) : source<false>(g, at, t);
                const auto top = h + s.padding.h - r, left = w + s.padding.w - q;
                const bool present = top >= 0 && left >= 0 && top % s.stride.h == 0 &&
                                     left % s.stride.w == 0 && top / s.stride.h < s.out_height() &&
                                     left / s.stride.w < s.out_width();
                ASSERT_EQ(from.present, present);
                if (present) {
                  ASSERT_EQ(at.offset + from.offset,
                            ((n * s.filters + k) * s.out_height() + top / s.stride.h) * s.out_width() +
                                left / s.stride.w);
                }
                for (int c = 0; c < s.channels; ++c)
                  ASSERT_EQ(c * g.weight_row + t.weight,
                            ((k * s.channels + c) * s.kernel.h + r) * s.kernel.w + q);
              }
        }
    if (!g.divides()) continue;
    EXPECT_FALSE(source<true>(g, anchor(g, g.pixels), tap(g, 0)).present);
    EXPECT_FALSE(source<true>(g, anchor(g, 0), tap(g, g.taps)).present);
    EXPECT_FALSE(source<true>(g, anchor(g, g.pixels), tap(g, g.taps)).present);
  }
}

template <int Count, int Threads>
void expect_each_owned_once() {
  std::vector<int> owners(Count * Threads);
  for (int thread = 0; thread < Threads; ++thread)
    for (int i = 0; i < Count; ++i)
      ++owners.at(static_cast<std::size_t>(owned<Count, Threads>(thread, i)));
  EXPECT_EQ(owners, std::vector<int>(Count * Threads, 1));
}

TEST(ImageGeometry, ThreadsOwnEachElementOfATileOnce) {
  expect_each_owned_once<8, 16>();
  expect_each_owned_once<8, 8>();
  expect_each_owned_once<4, 8>();
  expect_each_owned_once<2, 16>();
  expect_each_owned_once<1, 3>();
}

TEST(ImageGeometry, WindowsThatCoverAnElement) {
  for (int extent = 1; extent < 13; ++extent)
    for (int kernel = 1; kernel < 6; ++kernel)
      for (int stride = 1; stride < 6; ++stride) {
        const auto outputs = static_cast<int>(windows(extent, kernel, stride));
        for (int at = 0; at < extent; ++at) {
          const auto [begin, end] = pooling::covering(at, kernel, Divisor(stride), outputs);
          for (int o = 0; o < outputs; ++o)
            ASSERT_EQ(o >= begin && o < end, o * stride <= at && at < o * stride + kernel)
                << extent << ' ' << kernel << ' ' << stride << ' ' << at << ' ' << o;
        }
      }
}

constexpr int h200_multiprocessors = 132;

TEST(ImageTiling, SumsOverPixelsAreCutIntoEnoughBlocks) {
  // 1→10 5×5 on 28×28 and 10→20 5×5 on 12×12 at batch 64: few results, long sums.
  for (const auto& [filters, taps, pixels] :
       std::vector<std::array<std::int64_t, 3>>{{10, 25, 64 * 24 * 24}, {20, 250, 64 * 8 * 8}}) {
    const auto t = parameter_tiling(filters, taps, pixels, h200_multiprocessors);
    EXPECT_GE(t.row_tiles * t.column_tiles * t.splits, h200_multiprocessors * 9 / 10) << filters;
    EXPECT_GE(t.slices, t.splits);
    EXPECT_EQ(part_floats(t, filters, taps), t.splits * filters * (taps + 1));
  }
  const auto empty = parameter_tiling(10, 0, 0, h200_multiprocessors);
  EXPECT_EQ(empty.column_tiles, 1) << "the bias gradient has nobody else";
  EXPECT_EQ(empty.splits, 1);
  EXPECT_EQ(part_floats(empty, 10, 0), 0);
  EXPECT_EQ(parameter_tiling(0, 25, 100, h200_multiprocessors).row_tiles, 0);
}

TEST(ImageTiling, TilesCoverEveryGradient) {
  for (const std::int64_t filters : {1, 16, 17, 33, 64, 65, 256})
    for (const std::int64_t taps : {1, 27, 32, 33, 250, 2304})
      for (const std::int64_t pixels : {1, 63, 4096, 131072})
        for (const int multiprocessors : {1, 108, 132}) {
          const auto t = parameter_tiling(filters, taps, pixels, multiprocessors);
          const auto [m, n, k, blocks] = extents(t.tile);
          EXPECT_GE(t.row_tiles * m, filters);
          EXPECT_GE(t.column_tiles * n, taps);
          EXPECT_GE(std::int64_t(t.slices) * k, pixels);
          EXPECT_GE(t.splits, 1);
          if (t.splits > 1) {
            EXPECT_LE(t.row_tiles * t.column_tiles * t.splits, blocks * multiprocessors);
          }
          EXPECT_LE(t.splits, std::max(1, t.slices / 4));
        }
}

TEST(ImageTiling, LargeTilesOnlyWhereTheyFillTheChip) {
  EXPECT_EQ(gather_tile(10, 64 * 24 * 24, 132), GatherTile::rows16);
  EXPECT_EQ(gather_tile(20, 64 * 64, 132), GatherTile::rows32);
  EXPECT_EQ(gather_tile(64, 128 * 1024, 132), GatherTile::rows64);
  EXPECT_EQ(gather_tile(128, 128 * 256, 132), GatherTile::rows128);
  EXPECT_EQ(gather_tile(256, 64, 132), GatherTile::rows32);
}

TEST(ImageTiling, DirectBlocksFitSharedMemoryAndCoverTheOutput) {
  for (const auto& [batch, channels, extent, filters, kernel, padding] :
       std::vector<std::array<std::int64_t, 6>>{{64, 1, 28, 10, 5, 0},
                                                {64, 1, 28, 6, 5, 2},
                                                {128, 3, 32, 64, 3, 1},
                                                {1, 4, 224, 100, 5, 2},
                                                {2, 1, 1000, 3, 3, 0}}) {
    const ConvolutionShape s{.batch = batch,
                             .channels = channels,
                             .height = extent,
                             .width = extent,
                             .filters = filters,
                             .kernel = kernel,
                             .padding = padding};
    const auto t = direct_tiling(s, h200_multiprocessors);
    ASSERT_TRUE(t.possible) << extent;
    EXPECT_LE(t.shared_bytes, 48 * 1024);
    EXPECT_GE(t.rows * t.row_tiles, s.out_height());
    EXPECT_GE(t.filters * t.filter_tiles, filters);
    EXPECT_EQ(t.filters % t.filters_per_thread, 0);
    EXPECT_TRUE(t.threads % 32 == 0 && t.threads > 0 && t.threads <= 256);
  }
  const ConvolutionShape mnist{
      .batch = 64, .channels = 1, .height = 28, .width = 28, .filters = 10, .kernel = 5};
  EXPECT_GE(mnist.batch * direct_tiling(mnist, h200_multiprocessors).row_tiles, h200_multiprocessors);
  for (const std::int64_t channels : {0, 5})
    EXPECT_FALSE(
        direct_tiling(
            {.batch = 1, .channels = channels, .height = 28, .width = 28, .filters = 10, .kernel = 5}, 132)
            .possible);
}

}  // namespace
}  // namespace partita::kernels::cuda
