/// Tensor-core products of a warp (mma.sync) and the loads of their fragments (ldmatrix).
///
/// With g = lane / 4 and t = lane % 4, thread `lane` holds (PTX ISA 9.0, "Matrix fragments for mma"):
///   D [16, 8] float32:    d0 d1 of row g, columns 2t 2t+1; d2 d3 of row g + 8;
///   m16n8k8 tf32:         A [16, 8]: a0 (g, t), a1 (g + 8, t), a2 (g, t + 4), a3 (g + 8, t + 4);
///                         B [8, 8]: b0 (t, g), b1 (t + 4, g);
///   m16n8k16 bfloat16:    pairs along k: a0 (g, 2t), a1 (g + 8, 2t), a2 (g, 2t + 8), a3 (g + 8, 2t + 8);
///                         b0 (2t, g), b1 (2t + 8, g); the lower half is the lower k.
/// sm_80 and up.
#pragma once

#include "ptx/shared_memory.hpp"

namespace partita::ptx {

/// Four matrices of 8 rows of 16 bytes. Lane l gives row l % 8 of matrix l / 8 and receives, of each matrix
/// i, the 4 bytes number l % 4 of row l / 4 in r[i].
__device__ __forceinline__ void load_matrix_x4(std::uint32_t (&r)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
}

/// Two matrices; the rows of lanes 0 to 15 count.
__device__ __forceinline__ void load_matrix_x2(std::uint32_t (&r)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
}

/// Four matrices of 8×8 elements of 16 bits, each transposed: lane l receives the elements (2·(l % 4), l / 4)
/// and (2·(l % 4) + 1, l / 4) as they lie in shared memory.
__device__ __forceinline__ void load_matrix_x4_transposed(std::uint32_t (&r)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
}

/// Two of them; the rows of lanes 0 to 15 count.
__device__ __forceinline__ void load_matrix_x2_transposed(std::uint32_t (&r)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
}

/// D += A·B, [16, 8] += [16, 8]·[8, 8].
__device__ __forceinline__ void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, "
      "%1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// D += A·B, [16, 8] += [16, 16]·[16, 8].
__device__ __forceinline__ void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, "
      "%1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// The nearest value with 10 bits of mantissa, ties away from 0; the tensor cores would cut the rest off.
__device__ __forceinline__ std::uint32_t to_tf32(float value) {
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

}  // namespace partita::ptx
