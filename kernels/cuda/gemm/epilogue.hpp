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

/// Four neighbours of a row, as memory holds them.
template <class Element>
struct alignas(4 * sizeof(Element)) Quad {
  Element elements[4];
};

/// Whether rows of C and mask can be read and written four elements at a time.
template <class Element>
__host__ __device__ inline bool stores_quads(const Arguments& p) {
  return p.row_c % 4 == 0 && reinterpret_cast<std::uintptr_t>(p.c) % sizeof(Quad<Element>) == 0 &&
         reinterpret_cast<std::uintptr_t>(p.mask) % sizeof(Quad<Element>) == 0;
}

template <class Element>
__device__ __forceinline__ float4 read_quad(const void* matrix, std::int64_t index) {
  const auto quad = *reinterpret_cast<const Quad<Element>*>(static_cast<const Element*>(matrix) + index);
  return {read_element(&quad.elements[0]), read_element(&quad.elements[1]), read_element(&quad.elements[2]),
          read_element(&quad.elements[3])};
}

/// Finishes four neighbours of a row of C as far as it has them; `quads` as `stores_quads`.
template <class Element>
__device__ __forceinline__ void store_four(const Arguments& p, std::int64_t row, std::int64_t column,
                                           const float4& sums, bool quads) {
  if (row >= p.m || column >= p.n) return;
  if (!quads || column + 4 > p.n) {
    store_element<Element>(p, row, column, sums.x);
    if (column + 1 < p.n) store_element<Element>(p, row, column + 1, sums.y);
    if (column + 2 < p.n) store_element<Element>(p, row, column + 2, sums.z);
    if (column + 3 < p.n) store_element<Element>(p, row, column + 3, sums.w);
    return;
  }
  const std::int64_t index = row * p.row_c + column;
  float4 before{0, 0, 0, 0}, mask{0, 0, 0, 0}, bias{0, 0, 0, 0};
  if (p.beta != 0) before = read_quad<Element>(p.c, index);
  if (p.mask != nullptr) mask = read_quad<Element>(p.mask, index);
  if (p.bias != nullptr) bias = {p.bias[column], p.bias[column + 1], p.bias[column + 2], p.bias[column + 3]};
  Quad<Element> result;
  write_element(&result.elements[0], finish(p, sums.x, before.x, bias.x, mask.x));
  write_element(&result.elements[1], finish(p, sums.y, before.y, bias.y, mask.y));
  write_element(&result.elements[2], finish(p, sums.z, before.z, bias.z, mask.z));
  write_element(&result.elements[3], finish(p, sums.w, before.w, bias.w, mask.w));
  *reinterpret_cast<Quad<Element>*>(static_cast<Element*>(p.c) + index) = result;
}

}  // namespace partita::kernels::cuda::gemm
