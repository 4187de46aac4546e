/// How the Hopper kernel's consumers finish their sums and write them to C.
#pragma once

#include <cuda_bf16.h>

#include "family.hpp"
#include "hopper_pipeline.hpp"
#include "hopper_tiles.hpp"
#include "ptx/barrier.hpp"
#include "ptx/tensor_copy.hpp"

namespace partita::kernels::cuda::gemm::hopper {

__device__ __forceinline__ float as_float(float value) { return value; }
__device__ __forceinline__ float as_float(__nv_bfloat16 value) { return __bfloat162float(value); }

/// Two neighbours of a row, as C holds them.
template <class Element>
struct alignas(2 * sizeof(Element)) Pair {
  Element first, second;
};
__device__ __forceinline__ void put(float* to, float first, float second) {
  *reinterpret_cast<Pair<float>*>(to) = {first, second};
}
__device__ __forceinline__ void put(__nv_bfloat16* to, float first, float second) {
  *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(first, second);
}

/// Reads what lies under `Count` sums of this thread, which begin with sum `from`, in a matrix that lies as
/// C; zeros beyond its edges. (row, column) is where the warpgroup's tile begins.
template <int Count, class Element>
__device__ __forceinline__ void read_fragment(float (&values)[Count], const Element* matrix,
                                              const Arguments& p, int row, int column, int from,
                                              unsigned thread) {
#pragma unroll
  for (int i = 0; i < Count; i += 2) {
    const std::int64_t y = row + fragment_row(thread, from + i);
    const std::int64_t x = column + fragment_column(thread, from + i);
    const Element* element = matrix + y * p.row_c + x;
    values[i] = values[i + 1] = 0;
    if (y < p.m && x + 1 < p.n) {
      const auto pair = *reinterpret_cast<const Pair<Element>*>(element);
      values[i] = as_float(pair.first);
      values[i + 1] = as_float(pair.second);
    } else if (y < p.m && x < p.n) {
      values[i] = as_float(*element);
    }
  }
}

/// The epilogue of `Count` sums from number `from` on: alpha, beta·C, bias, ReLU or mask.
template <int Count, class Element>
__device__ __forceinline__ void finish(float (&values)[Count], const Arguments& p, int row, int column,
                                       int from, unsigned thread) {
#pragma unroll
  for (int i = 0; i < Count; ++i)
    values[i] *= p.alpha;
  float other[Count];
  if (p.beta != 0) {
    read_fragment(other, static_cast<const Element*>(p.c), p, row, column, from, thread);
#pragma unroll
    for (int i = 0; i < Count; ++i)
      values[i] = fmaf(p.beta, other[i], values[i]);
  }
  if (p.bias != nullptr) {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      const int x = column + fragment_column(thread, from + i);
      values[i] += x < p.n ? p.bias[x] : 0;
    }
  }
  if (p.relu) {
#pragma unroll
    for (int i = 0; i < Count; ++i)
      values[i] = values[i] < 0 ? 0 : values[i];
  }
  if (p.mask != nullptr) {
    read_fragment(other, static_cast<const Element*>(p.mask), p, row, column, from, thread);
#pragma unroll
    for (int i = 0; i < Count; ++i)
      values[i] = other[i] > 0 ? values[i] : 0;
  }
}

/// Writes r = alpha·Σ op(A) + beta·r for a consumer's 64 rows; `warps` is room for 4 × 64 sums.
template <bool TransposeA>
__device__ __forceinline__ void store_row_sums(RowSums& sums, const Arguments& p, float* warps, int row,
                                               unsigned consumer, unsigned thread) {
  float total = 0;
  if constexpr (TransposeA) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      sums.parts[i] += __shfl_xor_sync(0xFFFFFFFFu, sums.parts[i], 8);
      sums.parts[i] += __shfl_xor_sync(0xFFFFFFFFu, sums.parts[i], 16);
      if (thread % 32 < 8) warps[thread / 32 * panel + thread % 8 * 8 + i] = sums.parts[i];
    }
    ptx::named_barrier(1 + static_cast<int>(consumer), 128);
    for (unsigned warp = 0; warp < 4 && thread < panel; ++warp)
      total += warps[warp * panel + thread];
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      total += sums.parts[i];
    total += __shfl_xor_sync(0xFFFFFFFFu, total, 1);
  }
  const int own = static_cast<int>(TransposeA ? thread : thread / 2);
  const bool writes = TransposeA ? thread < panel : thread % 2 == 0;
  if (writes && row + own < p.m) {
    float& result = p.row_sums[row + own];
    result = p.alpha * total + (p.beta != 0 ? p.beta * result : 0);
  }
}

/// Writes a consumer's 64 rows of C, a panel at a time through two of shared memory: while the copy engine
/// reads one, the other is filled. Stores of 4 bytes (bfloat16) meet no bank twice thanks to the swizzle, of
/// 8 (float32) twice.
template <int TileN, class Element>
__device__ __forceinline__ void store(const float (&sums)[TileN / 2], const TensorMap& c, const Arguments& p,
                                      unsigned char* panels, int row, int column, unsigned consumer,
                                      unsigned thread) {
  constexpr int columns = 128 / sizeof(Element), count = columns / 2;
#pragma unroll
  for (int part = 0; part < TileN / columns; ++part) {
    unsigned char* target = panels + part % 2 * panel_bytes;
    float values[count];
#pragma unroll
    for (int i = 0; i < count; ++i)
      values[i] = sums[part * count + i];
    finish<count, Element>(values, p, row, column, part * count, thread);
    if (thread == 0) ptx::tensor_store_wait<1>();
    ptx::named_barrier(1 + static_cast<int>(consumer), 128);
#pragma unroll
    for (int i = 0; i < count; i += 2) {
      const int y = fragment_row(thread, i);
      const int byte = fragment_column(thread, i) * static_cast<int>(sizeof(Element));
      put(reinterpret_cast<Element*>(target + swizzled(y, byte / 16) + byte % 16), values[i], values[i + 1]);
    }
    ptx::async_shared_fence();
    ptx::named_barrier(1 + static_cast<int>(consumer), 128);
    if (thread == 0) {
      if (row < p.m && column + part * columns < p.n)
        ptx::tensor_store(c, target, column + part * columns, row);
      ptx::tensor_store_commit();
    }
  }
}

}  // namespace partita::kernels::cuda::gemm::hopper
