/// op(A) and op(B) as kernels see them: both are a matrix of `extent` rows or columns of C by k.
#pragma once

#include "family.hpp"

namespace partita::kernels::cuda::gemm {

/// Element (r, k) lies at r·stride + k where k is innermost, else at k·stride + r. r counts rows of op(A) or
/// columns of op(B).
struct Operand {
  const void* data;
  std::int64_t extent, row;
  bool k_innermost;
  [[nodiscard]] __host__ __device__ constexpr std::int64_t index(std::int64_t r, std::int64_t k) const {
    return k_innermost ? r * row + k : k * row + r;
  }
};
__host__ __device__ constexpr Operand operand_a(const Arguments& p) {
  return {p.a, p.m, p.row_a, !p.transpose_a};
}
__host__ __device__ constexpr Operand operand_b(const Arguments& p) {
  return {p.b, p.n, p.row_b, p.transpose_b};
}

/// Whether a pointer lies on a boundary of 16 bytes.
__host__ __device__ inline bool on_16_bytes(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

/// Whether the operand can be copied in pieces of 16 bytes of elements that all exist.
inline bool in_vectors(const Operand& operand, std::int64_t k, int element_bytes) {
  const std::int64_t innermost = operand.k_innermost ? k : operand.extent;
  return on_16_bytes(operand.data) && operand.row * element_bytes % 16 == 0 &&
         innermost * element_bytes % 16 == 0;
}

/// Whether kernels that count in 32 bits can compute it: extents below 2³⁰, rows below 2²³ elements.
inline bool counts_in_32_bits(const Arguments& p) {
  constexpr std::int64_t extents = std::int64_t{1} << 30, rows = std::int64_t{1} << 23;
  return p.m < extents && p.n < extents && p.k < extents && p.row_a < rows && p.row_b < rows;
}

inline Bytes no_workspace(const Arguments&, const Chip&) { return Bytes(0); }

}  // namespace partita::kernels::cuda::gemm
