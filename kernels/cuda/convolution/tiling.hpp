/// Which tile a convolution is cut into: pure functions of shape and chip, so that they can be tested without
/// a device.
///
/// Two things pull: large register tiles do more arithmetic a byte of shared memory, small ones give more
/// blocks. Small networks have too few results to fill a GPU with large tiles, and too few rows (filters) to
/// fill one tile.
#pragma once

#include <algorithm>
#include <cstdint>

#include "partita/kernels/operations.hpp"

namespace partita::kernels::cuda::convolution {

constexpr std::int64_t ceil_divide(std::int64_t n, std::int64_t d) { return (n + d - 1) / d; }

/// Tiles of the gathered product (gather.cu), rows × pixels.
enum class GatherTile { rows16, rows32, rows64, rows128 };

constexpr GatherTile gather_tile(std::int64_t rows, std::int64_t pixels, int multiprocessors) {
  const auto blocks = [&](std::int64_t m, std::int64_t n) {
    return ceil_divide(rows, m) * ceil_divide(pixels, n);
  };
  if (rows > 64 && blocks(128, 128) >= multiprocessors) return GatherTile::rows128;
  if (rows > 32 && blocks(64, 128) >= multiprocessors) return GatherTile::rows64;
  return rows > 16 ? GatherTile::rows32 : GatherTile::rows16;
}

/// Tiles of the weight gradient (parameters.cu), filters × taps, and the pixels of a slice; how many blocks a
/// multiprocessor is given.
enum class ParameterTile { filters16, filters32, filters64, filters64_wide, filters128 };

struct ParameterTileExtents {
  int filters, taps, pixels, blocks;
};

constexpr ParameterTileExtents extents(ParameterTile tile) {
  switch (tile) {
    case ParameterTile::filters16:
      return {16, 32, 32, 2};
    case ParameterTile::filters32:
      return {32, 64, 32, 2};
    case ParameterTile::filters64:
      return {64, 32, 16, 4};
    case ParameterTile::filters64_wide:
      return {64, 128, 16, 4};
    case ParameterTile::filters128:
      break;
  }
  return {128, 128, 16, 2};
}

/// A weight gradient [filters, taps] and its sums over pixels, cut into tiles and, along the pixels, into
/// `splits` parts whose sums are added afterwards in their order.
struct ParameterTiling {
  ParameterTile tile = ParameterTile::filters16;
  int row_tiles = 0, column_tiles = 0, splits = 1;
  /// Of all splits together; split i has the slices [⌊i·slices/splits⌋, ⌊(i+1)·slices/splits⌋).
  int slices = 0;
};

constexpr ParameterTile parameter_tile(std::int64_t filters, std::int64_t taps) {
  if (filters <= 16) return ParameterTile::filters16;
  if (filters <= 32) return ParameterTile::filters32;
  if (taps <= 32) return ParameterTile::filters64;
  return filters <= 64 ? ParameterTile::filters64_wide : ParameterTile::filters128;
}

/// As many splits as all multiprocessors hold at a time, not one more, which would make the others wait; but
/// not below four slices a split: less is all overhead.
constexpr ParameterTiling parameter_tiling(std::int64_t filters, std::int64_t taps, std::int64_t pixels,
                                           int multiprocessors) {
  const ParameterTile tile = parameter_tile(filters, taps);
  const auto [m, n, k, blocks] = extents(tile);
  const auto rows = ceil_divide(filters, m), columns = std::max<std::int64_t>(1, ceil_divide(taps, n));
  const auto slices = ceil_divide(pixels, k);
  const auto wanted =
      std::int64_t{blocks} * std::max(1, multiprocessors) / std::max<std::int64_t>(1, rows * columns);
  const auto splits = std::max<std::int64_t>(1, std::min(wanted, slices / 4));
  return {tile, static_cast<int>(rows), static_cast<int>(columns), static_cast<int>(splits),
          static_cast<int>(slices)};
}

/// How the direct kernel for few channels (few_channels.cu) cuts Y: `rows` rows of a sample and `filters`
/// filters a block, of which a thread computes `filters_per_thread` at `pixels_per_thread` pixels.
struct DirectTiling {
  bool possible = false;
  int rows = 0, row_tiles = 0;
  int filters = 0, filter_tiles = 0, filters_per_thread = 8;
  int patch_height = 0, patch_width = 0;  ///< of the input under a block's rows, padding included
  int threads = 0;
  std::int64_t shared_bytes = 0;
  static constexpr int pixels_per_thread = 4;
};

inline DirectTiling with_rows(const ConvolutionShape& s, DirectTiling t, std::int64_t rows) {
  const auto taps = s.channels * s.kernel.h * s.kernel.w;
  const auto height = (rows - 1) * s.stride.h + s.kernel.h;
  const auto groups = t.filters / t.filters_per_thread;
  const auto work = groups * ceil_divide(rows * s.out_width(), DirectTiling::pixels_per_thread);
  t.rows = static_cast<int>(rows);
  t.row_tiles = static_cast<int>(ceil_divide(s.out_height(), rows));
  t.patch_height = static_cast<int>(height);
  t.threads = static_cast<int>(std::min<std::int64_t>(256, ceil_divide(work, 32) * 32));
  t.shared_bytes = 4 * (taps * t.filters + taps + s.channels * height * t.patch_width);
  return t;
}

/// Up to four channels with outputs worth a block. Rows are halved until the chip has two blocks a
/// multiprocessor or a block has few pixels left, and until the patch fits.
inline DirectTiling direct_tiling(const ConvolutionShape& s, int multiprocessors) {
  constexpr std::int64_t shared_limit = std::int64_t{48} * 1024, most_taps = 128, fewest_pixels = 64,
                         most_filters = 64;
  const auto taps = s.channels * s.kernel.h * s.kernel.w;
  if (s.channels < 1 || s.channels > 4 || s.filters < 1 || s.batch < 1 || s.batch > 65535 ||
      taps > most_taps || s.out_height() * s.out_width() < fewest_pixels ||
      s.width + 2 * s.padding.w > shared_limit)
    return {};
  DirectTiling t{.patch_width = static_cast<int>(s.width + 2 * s.padding.w)};
  t.filters_per_thread = ceil_divide(s.filters, 4) % 2 == 0 ? 8 : 4;
  const auto padded = ceil_divide(s.filters, t.filters_per_thread) * t.filters_per_thread;
  t.filters = static_cast<int>(std::min(padded, most_filters));
  t.filter_tiles = static_cast<int>(ceil_divide(s.filters, t.filters));
  t = with_rows(s, t, s.out_height());
  const auto crowded = [&] {
    return s.batch * t.row_tiles * t.filter_tiles < std::int64_t{2} * multiprocessors;
  };
  while (t.rows > 1 &&
         (t.shared_bytes > shared_limit || (crowded() && t.rows * s.out_width() >= 4 * fewest_pixels)))
    t = with_rows(s, t, ceil_divide(t.rows, 2));
  t.possible = t.shared_bytes <= shared_limit && t.filter_tiles <= 65535;
  return t;
}

}  // namespace partita::kernels::cuda::convolution
