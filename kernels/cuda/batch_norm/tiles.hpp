/// How the blocks of batch normalisation share the tensor, and where they put the parts of a channel's sums.
///
/// The batch is a matrix whose rows are samples and whose columns are the pixels of the first channel, then
/// those of the second, and so on. A block has a tile of columns in a chunk of samples, whatever the extent
/// of a plane: memory is read along rows, a vector is an image of one pixel per channel, and the channel of a
/// thread's columns is looked up once. A tile may hold many channels or a part of one.
#pragma once

#include <algorithm>

#include "divisor.hpp"
#include "group.hpp"
#include "partita/kernels/count.hpp"
#include "partita/kernels/operations.hpp"

namespace partita::kernels::cuda::batch_norm {

/// A warp reads a tile's row, each thread four columns of it; the warps of a block take turns with the rows.
inline constexpr int own_columns = 4, tile_columns = own_columns * warp_threads;

/// Chunks are so long that there are about so many blocks, some for each multiprocessor of the largest chips,
/// but not so short that a thread would have less than two rows.
inline constexpr std::int64_t enough_blocks = 512, fewest_rows = 2 * block_warps;

/// Passed to kernels by value.
struct Geometry {
  int columns = 0, channels = 0, tiles = 0, chunks = 0;
  int batch = 0, of_chunk = 0;  ///< samples; the last chunk may have fewer
  Divisor pixels;               ///< of a plane
};

inline Geometry geometry(const BatchNormShape& s) {
  const std::int64_t pixels = s.height * s.width, columns = s.channels * pixels;
  const std::int64_t tiles = (columns + tile_columns - 1) / tile_columns;
  const std::int64_t rows = std::max(fewest_rows, (s.batch * tiles + enough_blocks - 1) / enough_blocks);
  const std::int64_t of_chunk = (rows + block_warps - 1) / block_warps * block_warps;
  return {.columns = static_cast<int>(columns),
          .channels = static_cast<int>(s.channels),
          .tiles = static_cast<int>(tiles),
          .chunks = static_cast<int>((s.batch + of_chunk - 1) / of_chunk),
          .batch = static_cast<int>(s.batch),
          .of_chunk = static_cast<int>(of_chunk),
          .pixels = Divisor(pixels)};
}

/// Of the tensor's columns, and of its channels.
struct Tile {
  int first_column, columns, first_channel, channels;
};

[[nodiscard]] __host__ __device__ constexpr Tile tile_at(const Geometry& g, int tile) {
  const int first = tile * tile_columns, left = g.columns - first;
  const int columns = left < tile_columns ? left : tile_columns;
  const int channel = g.pixels.quotient(first);
  return {first, columns, channel, g.pixels.quotient(first + columns - 1) - channel + 1};
}

/// Which of the tile's channels one of its columns belongs to.
[[nodiscard]] __host__ __device__ constexpr int channel_at(const Geometry& g, const Tile& tile, int column) {
  return g.pixels.quotient(tile.first_column + column) - tile.first_channel;
}

/// [begin, end)
struct Range {
  int begin, end;
};

/// Where the columns of a channel lie in a tile that it has a part in, from the tile's first column.
[[nodiscard]] __host__ __device__ constexpr Range columns_of(const Geometry& g, const Tile& tile,
                                                             int channel) {
  const int pixels = static_cast<int>(g.pixels.value), begin = channel * pixels - tile.first_column;
  const int end = begin + pixels;
  return {begin > 0 ? begin : 0, end < tile.columns ? end : tile.columns};
}

/// The tiles that a channel has a part in.
[[nodiscard]] __host__ __device__ constexpr Range tiles_of(const Geometry& g, int channel) {
  const int pixels = static_cast<int>(g.pixels.value), begin = channel * pixels;
  return {begin / tile_columns, (begin + pixels - 1) / tile_columns + 1};
}

/// No channel has a part in more tiles.
[[nodiscard]] constexpr int most_tiles_of_a_channel(const Geometry& g) {
  const int pixels = static_cast<int>(g.pixels.value);
  return std::min(g.tiles, (pixels + tile_columns - 2) / tile_columns + 1);
}

/// Whether one block has all values of a channel.
[[nodiscard]] constexpr bool has_whole_channels(const Geometry& g) {
  return g.chunks <= 1 && (g.tiles <= 1 || tile_columns % static_cast<int>(g.pixels.value) == 0);
}

/// Where blocks put the sums of their channels: [chunks, 2, stride]. A block's part of a channel has the
/// place tile + channel, which is its own: from one part to the next in memory the tile or the channel or
/// both are one further. Blocks that have whole channels put them into the sums themselves: the place is the
/// channel.
struct Parts {
  double* data = nullptr;
  int stride = 0, tile_step = 0;
  [[nodiscard]] __host__ __device__ constexpr double& at(int chunk, int which, int tile, int channel) const {
    return data[(2 * static_cast<std::int64_t>(chunk) + which) * stride + tile * tile_step + channel];
  }
};
[[nodiscard]] constexpr Parts whole_sums(const Geometry& g, double* sums) { return {sums, g.channels, 0}; }
[[nodiscard]] constexpr Parts parts_in(const Geometry& g, double* data) {
  return {data, g.tiles + g.channels, 1};
}
[[nodiscard]] constexpr Elements elements_of_parts(const Geometry& g) {
  if (has_whole_channels(g)) return Elements(0);
  return Elements(2 * static_cast<std::int64_t>(g.chunks) * (g.tiles + g.channels));
}

}  // namespace partita::kernels::cuda::batch_norm
