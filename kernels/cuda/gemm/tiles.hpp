/// Where things lie in the kernels that compute C in tiles: counts of tiles, the order in which blocks take
/// them, how a warp's lanes share a tile, pieces of the sum, swizzles. Plain arithmetic for the host and the
/// device.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "operand.hpp"

namespace partita::kernels::cuda::gemm {

__host__ __device__ constexpr std::int64_t quotient_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Tiles of C. Row sums are the business of the first column of tiles, which exists for them even if C has no
/// columns.
struct TileGrid {
  int rows, columns;
  [[nodiscard]] __host__ __device__ constexpr int tiles() const { return rows * columns; }
};
struct TilePlace {
  int row, column;
};
__host__ __device__ constexpr TileGrid tile_grid(const Arguments& p, int tile_m, int tile_n) {
  const auto columns = static_cast<int>(quotient_up(p.n, tile_n));
  return {static_cast<int>(quotient_up(p.m, tile_m)), p.row_sums != nullptr && columns == 0 ? 1 : columns};
}

/// The index-th tile: bands of `band` rows of tiles, each passed column by column. What blocks compute at the
/// same time so is nearly square, and their operands meet in the L2.
__host__ __device__ constexpr TilePlace tile_at(int index, const TileGrid& grid, int band) {
  const int first = index / (band * grid.columns) * band;
  const int height = grid.rows - first < band ? grid.rows - first : band;
  const int within = index - first * grid.columns;
  return {first + within % height, within / height};
}

/// The part of the sum over k that piece `index` of `pieces` takes: whole steps of `depth`, but for the last.
struct KRange {
  int begin, end;
};
__host__ __device__ constexpr KRange k_range(std::int64_t k, int depth, int pieces, int index) {
  const std::int64_t steps = quotient_up(k, depth);
  const std::int64_t begin = steps * index / pieces * depth, end = steps * (index + 1) / pieces * depth;
  return {static_cast<int>(begin < k ? begin : k), static_cast<int>(end < k ? end : k)};
}

/// How lanes_m × lanes_n lanes of a warp lie over its tile. Neighbours along lane bit 0 share columns and
/// along bit 1 share rows: loads of 16 bytes from shared memory that are the same for such pairs take half
/// the passes (so do the interleaved lane layouts of CUTLASS, gemm/warp/default_mma_simt…).
__host__ __device__ constexpr int lane_row(int lane, int lanes_n) {
  return lane % 2 + lane / (2 * lanes_n) * 2;
}
__host__ __device__ constexpr int lane_column(int lane, int lanes_n) { return lane / 2 % lanes_n; }

/// Bytes from the begin of a tile of rows of `row_bytes` (a multiple of 128) to a row's 16-byte piece. Eight
/// rows' same piece lie in all banks once, as ldmatrix reads them.
__host__ __device__ constexpr int swizzled_piece(int row, int piece, int row_bytes) {
  return row * row_bytes + (piece ^ row % 8) * 16;
}

}  // namespace partita::kernels::cuda::gemm
