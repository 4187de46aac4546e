/// What happens to a sum on its way to C: alpha, beta·C, bias, ReLU or mask; one for all kernels that keep
/// their sums in registers.
#pragma once

#include <cuda_bf16.h>

#include "operand.hpp"

namespace partita::kernels::cuda::gemm {

__device__ __forceinline__ float read_element(const float* from) { return *from; }
__device__ __forceinline__ float read_element(const __nv_bfloat16* from) { return __bfloat162float(*from); }
__device__ __forceinline__ void write_element(float* to, float value) { *to = value; }
__device__ __forceinline__ void write_element(__nv_bfloat16* to, float value) {
  *to = __float2bfloat16_rn(value);
}

/// epilogue(alpha·sum + beta·c + bias); `c` and `mask` are what lies there, 0 where not asked for.
__device__ __forceinline__ float finish(const Arguments& p, float sum, float c, float bias, float mask) {
  float value = fmaf(p.beta, c, p.alpha * sum) + bias;
  if (p.relu) value = value < 0 ? 0 : value;
  if (p.mask != nullptr) value = mask > 0 ? value : 0;
  return value;
}

/// Finishes one element.
template <class Element>
__device__ __forceinline__ void store_element(const Arguments& p, std::int64_t row, std::int64_t column,
                                              float sum) {
  const std::int64_t index = row * p.row_c + column;
  auto* c = static_cast<Element*>(p.c) + index;
  const float before = p.beta != 0 ? read_element(c) : 0;
  const float mask = p.mask != nullptr ? read_element(static_cast<const Element*>(p.mask) + index) : 0;
  write_element(c, finish(p, sum, before, p.bias != nullptr ? p.bias[column] : 0, mask));
}

/// Finishes a row sum.
__device__ __forceinline__ void store_row_sum(const Arguments& p, std::int64_t row, float sum) {
  p.row_sums[row] = p.alpha * sum + (p.beta != 0 ? p.beta * p.row_sums[row] : 0);
}

/// Whether rows of float32 C and mask can be read and written 16 bytes at a time.
__host__ __device__ inline bool stores_vectors(const Arguments& p) {
  return p.row_c % 4 == 0 && on_16_bytes(p.c) && on_16_bytes(p.mask);
}

/// Finishes four neighbours of a row of float32 C as far as it has them; `vectors` as `stores_vectors`.
__device__ __forceinline__ void store_four(const Arguments& p, std::int64_t row, std::int64_t column,
                                           const float (&sums)[4], bool vectors) {
  if (row >= p.m) return;
  if (!vectors || column + 4 > p.n) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (column + i < p.n) store_element<float>(p, row, column + i, sums[i]);
    return;
  }
  const std::int64_t index = row * p.row_c + column;
  auto* c = reinterpret_cast<float4*>(static_cast<float*>(p.c) + index);
  float4 before{0, 0, 0, 0}, mask{0, 0, 0, 0}, bias{0, 0, 0, 0};
  if (p.beta != 0) before = *c;
  if (p.mask != nullptr) mask = *reinterpret_cast<const float4*>(static_cast<const float*>(p.mask) + index);
  if (p.bias != nullptr) bias = {p.bias[column], p.bias[column + 1], p.bias[column + 2], p.bias[column + 3]};
  *c = {finish(p, sums[0], before.x, bias.x, mask.x), finish(p, sums[1], before.y, bias.y, mask.y),
        finish(p, sums[2], before.z, bias.z, mask.z), finish(p, sums[3], before.w, bias.w, mask.w)};
}

}  // namespace partita::kernels::cuda::gemm
