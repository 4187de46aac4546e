/// The kernel that `tf32` and `bf16` share: warps' tiles on tensor cores by mma.sync.
#pragma once

#include "epilogue.hpp"
#include "ladder.hpp"
#include "ptx/shared_memory.hpp"
#include "tensor_fragments.hpp"

namespace partita::kernels::cuda::gemm {

/// A block of warps_m × warps_n warps with warp_m × warp_n sums each.
template <int WarpsM, int WarpsN, int WarpM, int WarpN, int Stages, int Blocks>
struct TensorShape {
  static constexpr int warps_n = WarpsN, warp_m = WarpM, warp_n = WarpN;
  static constexpr int m = WarpsM * WarpM, n = WarpsN * WarpN, threads = WarpsM * WarpsN * 32;
  static constexpr int stages = Stages, blocks = Blocks, band = 2048 / m;
};
using LargeTensorTile = TensorShape<2, 4, 64, 64, 3, 1>;
using SmallTensorTile = TensorShape<2, 2, 32, 32, 3, 2>;

/// Whether the large tile (128×256) is worth more than the small one (64×64), whose products read twice as
/// much shared memory each. By reasoning, not measured.
constexpr bool takes_large_tile(const Arguments& p, int multiprocessors) {
  const auto rounds = [&](const TileGrid& grid) {
    return grid.tiles() < multiprocessors ? 1.0 : static_cast<double>(grid.tiles()) / multiprocessors;
  };
  const double large = rounds(tile_grid(p, LargeTensorTile::m, LargeTensorTile::n));
  const double small = rounds(tile_grid(p, SmallTensorTile::m, SmallTensorTile::n));
  return static_cast<double>(static_cast<std::int64_t>(large + 0.999)) * 8 <= small * 2;
}

/// Whether a block may have the large tile's 144 KiB of shared memory and more: chips of compute
/// capability 8.6, 8.9 and from 12.0 on give 99 KiB at most (CUDA C++ Programming Guide, "Compute
/// Capabilities").
constexpr bool has_large_shared_memory(const Chip& chip) {
  return chip.architecture != 86 && chip.architecture != 89 && chip.architecture < 120;
}

/// A warp's fragments: op(A)'s of two steps of k, op(B)'s of two halves of a step. While one is multiplied,
/// the other is read.
template <class Element, class S, Order order_a, Order order_b>
struct TensorFragments {
  static constexpr int left = S::warp_m / 16, right = S::warp_n / 8, half = right / 2;
  std::uint32_t a[2][left][4], b[2][half][2];

  __device__ __forceinline__ void load_a(int buffer, const unsigned char* tile, int row, int step, int lane) {
#pragma unroll
    for (int i = 0; i < left; ++i)
      load_left<Element, order_a, S::m>(a[buffer][i], tile, row + i * 16, step, lane);
  }
  __device__ __forceinline__ void load_b(int part, const unsigned char* tile, int column, int step,
                                         int lane) {
#pragma unroll
    for (int j = 0; j < half; j += 2)
      load_right<Element, order_b, S::n>(b[part][j], b[part][j + 1], tile, column + (part * half + j) * 8,
                                         step, lane);
  }
  __device__ __forceinline__ void multiply(float (&sums)[left][right][4], int buffer, int part) {
#pragma unroll
    for (int j = 0; j < half; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        b[part][j][i] = operand_bits<Element>(b[part][j][i]);
#pragma unroll
    for (int i = 0; i < left; ++i) {
      if (part == 0)
#pragma unroll
        for (int r = 0; r < 4; ++r)
          a[buffer][i][r] = operand_bits<Element>(a[buffer][i][r]);
#pragma unroll
      for (int j = 0; j < half; ++j) {
        const int turned = i % 2 == 0 ? j : half - 1 - j;
        multiply_add<Element>(sums[i][part * half + turned], a[buffer][i], b[part][turned]);
      }
    }
  }
};

/// Adds a whole tile's rows of op(A) to the row sums; only the warps that have them read their fragments once
/// more for it, since a condition among the products would cost all of them registers.
template <class Element, class S, Order order>
__device__ __forceinline__ void add_tile_rows(float (&row_sums)[S::warp_m / 16][2], const unsigned char* tile,
                                              int row, int lane) {
#pragma unroll 1
  for (int step = 0; step < 4; ++step)
#pragma unroll
    for (int i = 0; i < S::warp_m / 16; ++i) {
      std::uint32_t a[4];
      load_left<Element, order, S::m>(a, tile, row + i * 16, step, lane);
      float d[4] = {row_sums[i][0], 0, row_sums[i][1], 0};  // all columns are alike: one is enough
      add_rows<Element>(d, a);
      row_sums[i][0] = d[0];
      row_sums[i][1] = d[2];
    }
}

/// A warp's sums to shared memory, [m][n] of the block in rows of `tensor_pitch`.
template <class S>
inline constexpr int tensor_pitch = S::n + 8;
template <class S>
__device__ __forceinline__ void share_sums(float* shared, int row, int column, int lane,
                                           const float (&sums)[S::warp_m / 16][S::warp_n / 8][4]) {
#pragma unroll
  for (int i = 0; i < S::warp_m / 16; ++i)
#pragma unroll
    for (int j = 0; j < S::warp_n / 8; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<float2*>(shared + (row + i * 16 + half * 8 + lane / 4) * tensor_pitch<S> + column +
                                   j * 8 + lane % 4 * 2) = {sums[i][j][2 * half], sums[i][j][2 * half + 1]};
}

/// Finishes a block's sums in shared memory, whole rows, from (row, column) of C on.
template <class C, class S>
__device__ __forceinline__ void store_shared_sums(const Arguments& p, const float* shared, int row,
                                                  int column) {
  const bool quads = stores_quads<C>(p);
#pragma unroll 4
  for (int four = static_cast<int>(threadIdx.x); four < S::m * S::n / 4; four += S::threads) {
    const int y = four / (S::n / 4), x = four % (S::n / 4) * 4;
    store_four<C>(p, row + y, column + x, *reinterpret_cast<const float4*>(shared + y * tensor_pitch<S> + x),
                  quads);
  }
}

/// A lane of four has the sums of its fragments' first columns.
template <class S>
__device__ __forceinline__ void store_tensor_row_sums(const Arguments& p, int row, int lane,
                                                      const float (&row_sums)[S::warp_m / 16][2]) {
  if (lane % 4 != 0) return;
#pragma unroll
  for (int i = 0; i < S::warp_m / 16; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (const int at = row + i * 16 + half * 8 + lane / 4; at < p.m)
        store_row_sum(p, at, row_sums[i][half]);
}

template <class Element, class S, Order order_a, Order order_b>
__global__ void __launch_bounds__(S::threads, S::blocks) tensor_tile_kernel(const Arguments p) {
  constexpr int depth = tensor_depth<Element>, steps = 4;
  constexpr int b_offset = tensor_tile_bytes<Element>(S::m, order_a);
  constexpr int stage_bytes = b_offset + tensor_tile_bytes<Element>(S::n, order_b);
  auto* shared = ptx::shared_memory<unsigned char>();
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const TilePlace tile = tile_at(static_cast<int>(blockIdx.x), tile_grid(p, S::m, S::n), S::band);
  const int row = warp / S::warps_n * S::warp_m, column = warp % S::warps_n * S::warp_n;
  TensorCopy<Element, order_a, S::m, S::threads> copy_a(operand_a(p), tile.row * S::m, 0, thread);
  TensorCopy<Element, order_b, S::n, S::threads> copy_b(operand_b(p), tile.column * S::n, 0, thread);
  const int k = static_cast<int>(p.k);
  int left_a = k, left_b = p.n > 0 ? k : 0, write = 0, read = 0;
  const auto copy = [&] {
    copy_a.copy(shared + write * stage_bytes, left_a);
    copy_b.copy(shared + write * stage_bytes + b_offset, left_b);
    ptx::copy_async_commit();
    left_a -= depth;
    left_b -= depth;
    write = write + 1 == S::stages ? 0 : write + 1;
  };
#pragma unroll
  for (int i = 0; i + 1 < S::stages; ++i)
    copy();
  ptx::copy_async_wait<S::stages - 2>();
  __syncthreads();

  const bool sums_rows = p.row_sums != nullptr && tile.column == 0 && column == 0;
  float sums[S::warp_m / 16][S::warp_n / 8][4] = {}, row_sums[S::warp_m / 16][2] = {};
  TensorFragments<Element, S, order_a, order_b> fragments;
  fragments.load_a(0, shared, row, 0, lane);
  fragments.load_b(0, shared + b_offset, column, 0, lane);
  for (int done = 0; done < k; done += depth) {
    if (sums_rows) add_tile_rows<Element, S, order_a>(row_sums, shared + read * stage_bytes, row, lane);
#pragma unroll
    for (int i = 0; i < steps; ++i) {
      fragments.load_b(1, shared + read * stage_bytes + b_offset, column, i, lane);
      if (i == 0) copy();
      fragments.multiply(sums, i % 2, 0);
      if (i + 1 == steps) {  // the next tile is there, and this one's place will be written
        ptx::copy_async_wait<S::stages - 2>();
        __syncthreads();
        read = read + 1 == S::stages ? 0 : read + 1;
      }
      const unsigned char* stage = shared + read * stage_bytes;
      fragments.load_a((i + 1) % 2, stage, row, (i + 1) % steps, lane);
      fragments.load_b(0, stage + b_offset, column, (i + 1) % steps, lane);
      fragments.multiply(sums, i % 2, 1);
    }
  }
  ptx::copy_async_wait<0>();
  __syncthreads();
  static_assert(S::m * tensor_pitch<S> * 4 <= S::stages * stage_bytes);
  auto* shared_sums = reinterpret_cast<float*>(shared);
  share_sums<S>(shared_sums, row, column, lane, sums);
  __syncthreads();
  if (p.c_is_bf16)
    store_shared_sums<__nv_bfloat16, S>(p, shared_sums, tile.row * S::m, tile.column * S::n);
  else
    store_shared_sums<float, S>(p, shared_sums, tile.row * S::m, tile.column * S::n);
  if (sums_rows) store_tensor_row_sums<S>(p, tile.row * S::m + row, lane, row_sums);
}

template <class Element, class S, Order order_a, Order order_b>
void issue_tensor_tiles(const Arguments& p, cudaStream_t stream) {
  constexpr int bytes =
      S::stages * (tensor_tile_bytes<Element>(S::m, order_a) + tensor_tile_bytes<Element>(S::n, order_b));
  launch(tensor_tile_kernel<Element, S, order_a, order_b>,
         tile_launch(tile_grid(p, S::m, S::n), S::threads, bytes), stream, p);
}

template <class Element, class S>
void issue_tensor_tiles_in_pieces(const Arguments& p, cudaStream_t stream) {
  const bool a = operand_a(p).k_innermost, b = operand_b(p).k_innermost;
  constexpr Order k = Order::k_innermost, outer = Order::vectors;
  if (a && b) return issue_tensor_tiles<Element, S, k, k>(p, stream);
  if (a) return issue_tensor_tiles<Element, S, k, outer>(p, stream);
  if (b) return issue_tensor_tiles<Element, S, outer, k>(p, stream);
  issue_tensor_tiles<Element, S, outer, outer>(p, stream);
}

/// Large or small tiles in pieces of 16 bytes where the operands allow it, else small ones by elements.
template <class Element>
void run_tensor_tiles(const Arguments& p, std::byte*, const Chip& chip, cudaStream_t stream) {
  const bool pieces = p.n > 0 && in_vectors(operand_a(p), p.k, sizeof(Element)) &&
                      in_vectors(operand_b(p), p.k, sizeof(Element));
  if (!pieces) return issue_tensor_tiles<Element, SmallTensorTile, Order::any, Order::any>(p, stream);
  if (has_large_shared_memory(chip) && takes_large_tile(p, chip.multiprocessors))
    return issue_tensor_tiles_in_pieces<Element, LargeTensorTile>(p, stream);
  issue_tensor_tiles_in_pieces<Element, SmallTensorTile>(p, stream);
}

}  // namespace partita::kernels::cuda::gemm
