/// The columns of a tile that a thread keeps from row to row: how it reads and writes them, and what a pass
/// needs to know of their channels, which is computed once a block and then stays in registers.
#pragma once

#include "batch_norm/tiles.hpp"
#include "launch.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda::batch_norm {

/// A thread's columns of a row.
struct Four {
  float of[own_columns];
};

__device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % warp_threads; }
__device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) / warp_threads; }

/// The k-th column of this thread in its tile: by fours they are neighbours, else each is a neighbour of
/// other threads'. The last tile may be narrower and have none there.
template <bool by_fours>
__device__ __forceinline__ int own_column(int k) {
  return by_fours ? own_columns * lane() + k : warp_threads * k + lane();
}
/// The column that is read for it: one of the tile's last where it has none, so that loads need no condition.
template <bool by_fours>
__device__ __forceinline__ int column_to_read(const Tile& tile, int k) {
  return by_fours ? min(own_columns * lane(), tile.columns - own_columns) + k
                  : min(warp_threads * k + lane(), tile.columns - 1);
}

/// The thread's values of a row that begins at the tile's first column.
template <bool by_fours>
__device__ __forceinline__ Four load(const float* row, const Tile& tile) {
  if constexpr (by_fours) {
    const float4 v = reinterpret_cast<const float4*>(row)[min(lane(), tile.columns / own_columns - 1)];
    return {v.x, v.y, v.z, v.w};
  } else {
    Four values;
#pragma unroll
    for (int k = 0; k < own_columns; ++k)
      values.of[k] = row[column_to_read<false>(tile, k)];
    return values;
  }
}

/// By fours only threads that have columns may call this. The row is cast and then indexed: where a moved
/// pointer is cast, nvcc 13 stores the floats one by one.
template <bool by_fours>
__device__ __forceinline__ void store(const Four& values, float* row, const Tile& tile) {
  const auto& v = values.of;
  if constexpr (by_fours) {
    reinterpret_cast<float4*>(row)[lane()] = make_float4(v[0], v[1], v[2], v[3]);
  } else {
#pragma unroll
    for (int k = 0; k < own_columns; ++k)
      if (own_column<false>(k) < tile.columns) row[own_column<false>(k)] = v[k];
  }
}

/// What a pass needs to know of the channel, for each column of a thread.
template <class Channel>
struct OwnChannels {
  Channel of[own_columns];
};

/// Each thread computes it for one channel of the tile at most; they share it in `room`.
template <bool by_fours, class Pass>
__device__ __forceinline__ OwnChannels<typename Pass::Channel> own_channels(
    const Geometry& g, const Tile& tile, const Pass& pass, typename Pass::Channel (&room)[tile_columns]) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < tile.channels) room[thread] = pass.of(tile.first_channel + thread);
  __syncthreads();
  OwnChannels<typename Pass::Channel> own;
#pragma unroll
  for (int k = 0; k < own_columns; ++k)
    own.of[k] = room[channel_at(g, tile, column_to_read<by_fours>(tile, k))];
  return own;
}

/// Calls f with the index at which each of this thread's rows begins in its tile, if it has columns there.
/// Loads of several rows are under way at once; of more, the registers would be those of other warps.
template <bool by_fours, class Pass, class F>
__device__ __forceinline__ void for_rows(const Geometry& g, const Tile& tile, F f) {
  [[maybe_unused]] constexpr int at_once = (by_fours ? 4 : 2) / (Pass::reads_dy ? 2 : 1);
  const int begin = static_cast<int>(blockIdx.y) * g.of_chunk;
  const int end = own_column<by_fours>(0) < tile.columns ? min(begin + g.of_chunk, g.batch) : begin;
  const std::int64_t step = static_cast<std::int64_t>(block_warps) * g.columns;
  std::int64_t at = static_cast<std::int64_t>(begin + warp()) * g.columns + tile.first_column;
#pragma unroll at_once
  for (int row = begin + warp(); row < end; row += block_warps, at += step)
    f(at);
}

/// A block for each tile and chunk.
inline LaunchShape blocks(const Geometry& g) {
  return {.grid = dim3(static_cast<unsigned>(g.tiles), static_cast<unsigned>(g.chunks)),
          .block = dim3(block_threads)};
}

/// Whether the rows of all these tensors may be read as float4; null is for one that there is not.
template <class... Pointers>
bool by_fours(const Geometry& g, Pointers... pointers) {
  return g.columns % own_columns == 0 && on_vector_boundary(pointers...);
}

}  // namespace partita::kernels::cuda::batch_norm
