/// Loads of 8 × 8 matrices and products of a warp, written from the fragments' figures.
///
/// Source: PTX ISA 9.0, "ldmatrix", "Matrix Fragments for mma.m16n8k8", "… mma.m16n8k16", "cvt.rna.tf32".
#pragma once

#include <cstdint>

namespace cuda_on_host {
void load_matrix(std::uint32_t* r, int count, bool transposed, const void* shared_row);
void product_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b);
void product_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b);
std::uint32_t round_to_tf32(float value);
}  // namespace cuda_on_host

namespace partita::ptx {

inline void load_matrix_x4(std::uint32_t (&r)[4], const void* shared_row) {
  cuda_on_host::load_matrix(r, 4, false, shared_row);
}
inline void load_matrix_x2(std::uint32_t (&r)[2], const void* shared_row) {
  cuda_on_host::load_matrix(r, 2, false, shared_row);
}
inline void load_matrix_x4_transposed(std::uint32_t (&r)[4], const void* shared_row) {
  cuda_on_host::load_matrix(r, 4, true, shared_row);
}
inline void load_matrix_x2_transposed(std::uint32_t (&r)[2], const void* shared_row) {
  cuda_on_host::load_matrix(r, 2, true, shared_row);
}
inline void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  cuda_on_host::product_tf32(d, a, b);
}
inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  cuda_on_host::product_bf16(d, a, b);
}
inline std::uint32_t to_tf32(float value) { return cuda_on_host::round_to_tf32(value); }

}  // namespace partita::ptx
