/// What a warp reads of the tiles for its tensor-core products, and the products: tf32 and bfloat16 alike
/// work on 32 bytes of k at a step.
#pragma once

#include "ptx/mma.hpp"
#include "tensor_copy.hpp"

namespace partita::kernels::cuda::gemm {

/// Reads op(A)'s [16, 32 bytes] from row r, step `step` of a tile.
template <class Element, Order order, int Extent>
__device__ __forceinline__ void load_left(std::uint32_t (&a)[4], const unsigned char* tile, int r, int step,
                                          int lane) {
  if constexpr (order != Order::vectors) {
    ptx::load_matrix_x4(a, tile + swizzled_piece(r + lane % 16, 2 * step + lane / 16, 128));
  } else if constexpr (sizeof(Element) == 2) {
    const int k = step * 16 + lane % 8 + lane / 16 * 8;
    ptx::load_matrix_x4_transposed(a, tile + outer_place<Element>(k, r + lane / 8 % 2 * 8, Extent));
  } else {
    const int k = step * 8 + lane % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      a[i] = *reinterpret_cast<const std::uint32_t*>(
          tile + outer_place<Element>(k + i / 2 * 4, r + lane / 4 + i % 2 * 8, Extent));
  }
}

/// Reads op(B)'s [32 bytes, 16] from column r: its first eight columns and the others.
template <class Element, Order order, int Extent>
__device__ __forceinline__ void load_right(std::uint32_t (&first)[2], std::uint32_t (&second)[2],
                                           const unsigned char* tile, int r, int step, int lane) {
  std::uint32_t four[4];
  if constexpr (order != Order::vectors) {
    ptx::load_matrix_x4(four,
                        tile + swizzled_piece(r + lane % 8 + lane / 16 * 8, 2 * step + lane / 8 % 2, 128));
  } else if constexpr (sizeof(Element) == 2) {
    const int k = step * 16 + lane % 16;
    ptx::load_matrix_x4_transposed(four, tile + outer_place<Element>(k, r + lane / 16 * 8, Extent));
  } else {
    const int k = step * 8 + lane % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      four[i] = *reinterpret_cast<const std::uint32_t*>(
          tile + outer_place<Element>(k + i % 2 * 4, r + lane / 4 + i / 2 * 8, Extent));
  }
  first[0] = four[0];
  first[1] = four[1];
  second[0] = four[2];
  second[1] = four[3];
}

/// As the tensor cores want them: float32 rounded to tf32, bfloat16 as it is.
template <class Element>
__device__ __forceinline__ std::uint32_t operand_bits(std::uint32_t bits) {
  if constexpr (sizeof(Element) == 4) return ptx::to_tf32(__uint_as_float(bits));
  return bits;
}

template <class Element>
__device__ __forceinline__ void multiply_add(float (&d)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]) {
  if constexpr (sizeof(Element) == 4)
    ptx::mma_tf32(d, a, b);
  else
    ptx::mma_bf16(d, a, b);
}

/// d[row] += Σ a's row: a product with ones. Of float32 what rounding took away is added by a second one, so
/// that the sum is as good as in float32.
template <class Element>
__device__ __forceinline__ void add_rows(float (&d)[4], const std::uint32_t (&a)[4]) {
  if constexpr (sizeof(Element) == 2) {
    const std::uint32_t ones[2] = {0x3F803F80, 0x3F803F80};
    ptx::mma_bf16(d, a, ones);
  } else {
    const std::uint32_t ones[2] = {0x3F800000, 0x3F800000};
    std::uint32_t high[4], low[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      high[i] = ptx::to_tf32(__uint_as_float(a[i]));
      low[i] = ptx::to_tf32(__uint_as_float(a[i]) - __uint_as_float(high[i]));
    }
    ptx::mma_tf32(d, high, ones);
    ptx::mma_tf32(d, low, ones);
  }
}

}  // namespace partita::kernels::cuda::gemm
