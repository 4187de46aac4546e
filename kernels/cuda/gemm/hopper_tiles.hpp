/// Where things lie in the Hopper kernel: tiles of C, panels of operands in swizzled shared memory, what
/// descriptors and tensor maps say of them. Plain arithmetic for the host and the device.
///
/// Everything in shared memory is made of panels of 128-byte rows, as a box of the copy engine with
/// SWIZZLE_128B leaves them: of row r, the 16-byte piece p lies at piece p ^ (r % 8). 64 rows are a panel of
/// 8 KiB. An operand's panel is 64 × 64 bfloat16: its rows are of M or N where k is innermost in memory, else
/// of k.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace partita::kernels::cuda::gemm::hopper {

inline constexpr int panel = 64;  ///< rows of a panel; also bfloat16 in its row
inline constexpr int panel_bytes = panel * 128;
inline constexpr int tile_m = 128;  ///< of a block: 64 rows for each of two consumer warpgroups
inline constexpr int tile_k = 64;
inline constexpr int instruction_k = 16;  ///< of wgmma on bfloat16
inline constexpr int cluster = 2;         ///< blocks of a cluster: neighbours in M that share op(B)'s tile
inline constexpr int threads = 384;       ///< one producer warpgroup, two consumers

/// The descriptor of the bfloat16 operand at `address` of shared memory (PTX ISA 9.0, "Matrix descriptor
/// format"; the same bits as CUTLASS's GmmaDescriptor, include/cute/arch/mma_sm90_desc.hpp):
///   bits 0–13 address / 16 · 16–29 leading offset / 16 · 32–45 stride offset / 16 · 49–51 base offset, 0
///   where patterns of 1,024 bytes lie on such a boundary · 62–63 swizzle, 1: 128 bytes.
/// With this swizzle (CUTLASS, mma_traits_sm90_gmma.hpp, canonical layouts B128, T = 8 bfloat16 of 16 bytes):
///   k innermost:       ((8, m), (T, 2)) : ((8T, stride), (1, T)): 8 rows of 128 bytes, then `stride` to the
///   next 8;
///                      the leading offset is not used (CUTLASS writes 1);
///   M or N innermost:  ((T, 8, m), (8, k)) : ((1, T, leading), (8T, stride)): 64 of M or N in a row of 128
///   bytes, 8
///                      rows of k, then `stride` to the next 8 of k and `leading` to the next 64 of M or N.
/// Both strides to 8 further rows of a panel are 8·128 bytes; the next 64 of M or N are the next panel.
__host__ __device__ constexpr std::uint32_t descriptor_low(std::uint32_t address, bool k_innermost) {
  return ((address & 0x3FFFFu) >> 4) | (k_innermost ? 1u : panel_bytes / 16u) << 16;
}
__host__ __device__ constexpr std::uint64_t matrix_descriptor(std::uint32_t low) {
  return std::uint64_t{1} << 62 | std::uint64_t{8 * 128 / 16} << 32 | low;
}

/// What the low word of the next 16 of k has more: 32 bytes along the row, where the hardware applies the
/// swizzle to the address that it computes (so do CUTLASS's DescriptorIterator and DeepGEMM), or 16 rows.
__host__ __device__ constexpr std::uint32_t descriptor_step(bool k_innermost) {
  return (k_innermost ? instruction_k * 2 : instruction_k * 128) / 16;
}

/// Bytes from a panel's begin to its row's 16-byte piece.
__host__ __device__ constexpr int swizzled(int row, int piece) {
  return row * 128 + ((piece ^ (row % 8)) * 16);
}

/// Element of D [64, N] that sum i of thread t of a warpgroup holds (PTX ISA 9.0, D fragment of
/// wgmma.m64nNk16).
__host__ __device__ constexpr int fragment_row(int t, int i) {
  return t / 32 * 16 + i / 2 % 2 * 8 + t % 32 / 4;
}
__host__ __device__ constexpr int fragment_column(int t, int i) { return i / 4 * 8 + t % 4 * 2 + i % 2; }

/// A block's shared memory: `stages` of op(A)'s and op(B)'s panels; for each consumer two panels of C and 4
/// warps' sums of 64 rows; barriers.
struct Storage {
  int stage_bytes, stages, panels_of_c, row_sums, barriers, bytes;
};
__host__ __device__ constexpr Storage storage(int tile_n) {
  const int stage_bytes = (tile_m + tile_n) * tile_k * 2, stages = tile_n == 256 ? 4 : 6;
  const int panels_of_c = stages * stage_bytes, row_sums = panels_of_c + 4 * panel_bytes;
  const int barriers = row_sums + 2 * 4 * panel * 4;
  return {stage_bytes, stages, panels_of_c, row_sums, barriers, barriers + 2 * stages * 8};
}

/// Tiles of C as clusters compute them: `rows` × `columns` of (cluster · tile_m) × tile_n elements, fewer
/// than 2³¹.
struct Raster {
  int rows, columns;
  __host__ __device__ constexpr int tiles() const { return rows * columns; }
};
struct Tile {
  int row, column;
};
__host__ __device__ constexpr std::int64_t quotient_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}
__host__ __device__ constexpr Raster raster(std::int64_t m, std::int64_t n, int tile_n) {
  return {static_cast<int>(quotient_up(m, cluster * tile_m)), static_cast<int>(quotient_up(n, tile_n))};
}

/// The index-th tile: bands of `band` rows, each passed column by column, every other band backwards. What is
/// computed at the same time so is nearly square, and its operands fit the L2: 66 clusters with tiles of 256
/// × 256 in bands of 8 work on about 8 × 8 tiles, 2,048 rows of op(A) and as many columns of op(B).
inline constexpr int band = 8;
__host__ __device__ constexpr Tile tile_at(int index, const Raster& raster) {
  const int first = index / (band * raster.columns) * band;
  const int height = raster.rows - first < band ? raster.rows - first : band;
  const int within = index - first * raster.columns, column = within / height;
  return {first + within % height, first / band % 2 == 1 ? raster.columns - 1 - column : column};
}

/// Tiles of 256 columns read less per product and are the faster ones where they fill the chip as well. Time
/// is taken as rounds of tiles × (columns + what a tile costs besides its main loop, in columns); a narrow
/// tile's products read half again as much shared memory, reckoned at a tenth. By reasoning, not measured.
constexpr int choose_tile_n(std::int64_t m, std::int64_t n, int multiprocessors) {
  const std::int64_t clusters = multiprocessors / cluster > 0 ? multiprocessors / cluster : 1;
  const std::int64_t wide = quotient_up(raster(m, n, 256).tiles(), clusters) * (256 + 16);
  const std::int64_t narrow = quotient_up(raster(m, n, 128).tiles(), clusters) * (128 + 16) * 11 / 10;
  return wide <= narrow ? 256 : 128;
}

}  // namespace partita::kernels::cuda::gemm::hopper
