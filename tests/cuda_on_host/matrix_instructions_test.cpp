/// ldmatrix and mma.sync against plain sums. The fragments are made here from other words of the PTX ISA than
/// the emulation's: the formulae row = …, column = … for each index i of a thread's vector.
#include <cuda_bf16.h>

#include <bit>

#include "device.hpp"
#include "ptx/mma.hpp"
#include "ptx/shared_memory.hpp"

namespace {

using namespace partita;
using namespace cuda_on_host::testing;

std::vector<float> product(int m, int n, int k, const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> c(m * n, 0);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j)
      for (int l = 0; l < k; ++l)
        c[i * n + j] += a[i * k + l] * b[l * n + j];
  return c;
}

/// D [16, 8] (+)= A [16, 8]·B [8, 8] in tf32.
__global__ void tf32(const float* a, const float* b, float* d) {
  const int group = threadIdx.x >> 2, in_group = threadIdx.x % 4;
  std::uint32_t fa[4], fb[2];
  float sums[4];
  for (int i = 0; i < 4; ++i)
    fa[i] = ptx::to_tf32(a[(i == 0 || i == 2 ? group : group + 8) * 8 + (i < 2 ? in_group : in_group + 4)]);
  for (int i = 0; i < 2; ++i)
    fb[i] = ptx::to_tf32(b[(in_group + i * 4) * 8 + group]);
  const auto place = [&](int i) { return (i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1); };
  for (int i = 0; i < 4; ++i)
    sums[i] = d[place(i)];
  ptx::mma_tf32(sums, fa, fb);
  for (int i = 0; i < 4; ++i)
    d[place(i)] = sums[i];
}

TEST(MatrixInstructions, Tf32) {
  const auto a = whole_numbers(128, 1), b = whole_numbers(64, 2);
  const Floats da(a), db(b), d(std::vector<float>(128, 0.5F));
  run(tf32, {1, 32}, static_cast<const float*>(da.data), static_cast<const float*>(db.data), d.data);
  auto expected = product(16, 8, 8, a, b);
  for (auto& x : expected)
    x += 0.5F;
  EXPECT_EQ(expected, d.get());
}

TEST(MatrixInstructions, Tf32RoundsToNearestAwayFromZero) {
  EXPECT_EQ(std::bit_cast<std::uint32_t>(1.0F), ptx::to_tf32(1.0F + 0x1p-12F));
  EXPECT_EQ(std::bit_cast<std::uint32_t>(1.0F + 0x1p-10F), ptx::to_tf32(1.0F + 0x1p-11F));
  EXPECT_EQ(std::bit_cast<std::uint32_t>(-1.0F - 0x1p-10F), ptx::to_tf32(-1.0F - 0x1p-11F));
}

/// D [16, 8] = A [16, 16]·B [16, 8] in bfloat16: A by ldmatrix from rows of A, B from rows of B or of its
/// transpose.
template <bool Transposed>
__global__ void bf16(const float* a, const float* b, float* d) {
  auto* const shared_a = ptx::shared_memory<__nv_bfloat16>();
  auto* const shared_b = shared_a + 256;
  for (int i = threadIdx.x; i < 256; i += 32)
    shared_a[i] = __float2bfloat16_rn(a[i]);
  for (int i = threadIdx.x; i < 128; i += 32)
    shared_b[Transposed ? i : i % 8 * 16 + i / 8] = __float2bfloat16_rn(b[i]);
  __syncthreads();
  const int l = threadIdx.x;
  std::uint32_t fa[4], fb[2];
  ptx::load_matrix_x4(fa, shared_a + l % 16 * 16 + l / 16 * 8);  // rows 0–7, 8–15, and again with k from 8
  if (Transposed)
    ptx::load_matrix_x2_transposed(fb, shared_b + l % 16 * 8);
  else
    ptx::load_matrix_x2(fb, shared_b + l % 8 * 16 + l / 8 % 2 * 8);
  float sums[4] = {};
  ptx::mma_bf16(sums, fa, fb);
  for (int i = 0; i < 4; ++i)
    d[((l >> 2) + (i < 2 ? 0 : 8)) * 8 + (l % 4) * 2 + (i & 1)] = sums[i];
}

TEST(MatrixInstructions, Bf16) {
  const auto a = whole_numbers(256, 3), b = whole_numbers(128, 4);
  const Floats da(a), db(b), d(std::vector<float>(128, 0));
  run(bf16<false>, {1, 32, 1024}, static_cast<const float*>(da.data), static_cast<const float*>(db.data),
      d.data);
  EXPECT_EQ(product(16, 8, 16, a, b), d.get());
  run(bf16<true>, {1, 32, 1024}, static_cast<const float*>(da.data), static_cast<const float*>(db.data),
      d.data);
  EXPECT_EQ(product(16, 8, 16, a, b), d.get());
}

TEST(MatrixInstructions, Bf16RoundsToNearestEven) {
  EXPECT_EQ(1.0F, static_cast<float>(__float2bfloat16_rn(1.0F + 0x1p-8F)));
  EXPECT_EQ(1.0F + 0x1p-6F, static_cast<float>(__float2bfloat16_rn(1.0F + 0x1p-7F + 0x1p-8F)));
  EXPECT_EQ(1.0F + 0x1p-7F, static_cast<float>(__float2bfloat16_rn(1.0F + 0x1p-8F + 0x1p-20F)));
}

}  // namespace
