/// Multiply-adds without memory: the arithmetic units' rate at the clock that such work runs at.
///
/// Operands are small numbers of both signs that differ between threads; sums stay finite. What is stored
/// depends on all sums but never happens, which the compiler cannot know.
#include <cuda_bf16.h>

#include "gemm/hopper_tiles.hpp"
#include "launch.hpp"
#include "peak.hpp"
#include "ptx/mma.hpp"
#include "ptx/shared_memory.hpp"
#include "ptx/tensor_copy.hpp"
#include "ptx/warpgroup.hpp"

namespace partita::kernels::cuda::yardstick {
namespace {

constexpr int threads = 256;
constexpr int fma_chains = 16, fma_steps = 16, fma_blocks = 4;
constexpr int mma_chains = 8, mma_blocks = 2;
constexpr int group_products = 16;  ///< wgmma between two waits

__device__ __forceinline__ float small_number(int i) {
  return static_cast<float>((i * 37 + static_cast<int>(threadIdx.x) * 11) % 29 - 14) * 0.01F;
}

/// Two blocks' worth of 16 chains: more than latency times the units of a multiprocessor.
__global__ void __launch_bounds__(threads, fma_blocks) fma_kernel(int rounds, float* never) {
  float sums[fma_chains];
#pragma unroll
  for (int i = 0; i < fma_chains; ++i)
    sums[i] = small_number(i);
  const float a = 0.999F + small_number(20) * 1e-3F, b = small_number(21);
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int step = 0; step < fma_steps; ++step)
#pragma unroll
      for (int i = 0; i < fma_chains; ++i)
        sums[i] = fmaf(sums[i], a, b);
  float total = 0;
#pragma unroll
  for (int i = 0; i < fma_chains; ++i)
    total += sums[i];
  if (total == 1.2345678e33F) *never = total;
}

/// A number's bits as an operand: TF32, or twice the bfloat16 that its upper half is.
template <bool Bf16>
__device__ __forceinline__ std::uint32_t operand_bits(float value) {
  const std::uint32_t bits = ptx::to_tf32(value);
  return Bf16 ? (bits & 0xFFFF0000U) | bits >> 16 : bits;
}

template <bool Bf16>
__global__ void __launch_bounds__(threads, mma_blocks) mma_kernel(int rounds, float* never) {
  float sums[mma_chains][4] = {};
  std::uint32_t a[4], b[2];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    a[i] = operand_bits<Bf16>(small_number(i));
#pragma unroll
  for (int i = 0; i < 2; ++i)
    b[i] = operand_bits<Bf16>(small_number(4 + i));
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int i = 0; i < mma_chains; ++i)
      if constexpr (Bf16)
        ptx::mma_bf16(sums[i], a, b);
      else
        ptx::mma_tf32(sums[i], a, b);
  float total = 0;
#pragma unroll
  for (int i = 0; i < mma_chains; ++i)
    total += sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3];
  if (total == 1.2345678e33F) *never = total;
}

constexpr int wgmma_a = 64 * 64,
              wgmma_b = 256 * 64;  ///< bfloat16 of a warpgroup's panel and of the shared one
constexpr int wgmma_bytes = (2 * wgmma_a + wgmma_b) * 2;

/// Two warpgroups with an operand of their own and one in common.
__global__ void __launch_bounds__(threads, 1) wgmma_kernel(int rounds, float* never) {
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  auto* const shared = ptx::shared_memory<__nv_bfloat16>();
  for (int i = static_cast<int>(threadIdx.x); i < wgmma_bytes / 2; i += threads)
    shared[i] = __float2bfloat16_rn(small_number(i));
  ptx::async_shared_fence();
  __syncthreads();
  const auto a = gemm::hopper::descriptor_low(
      ptx::shared_address(shared + static_cast<int>(threadIdx.x) / 128 * wgmma_a), true);
  const auto b = gemm::hopper::descriptor_low(ptx::shared_address(shared + 2 * wgmma_a), true);
  const auto step = gemm::hopper::descriptor_step(true);
  float sums[128] = {};
  for (int round = 0; round < rounds; ++round) {
    ptx::warpgroup_settle(sums);
    ptx::warpgroup_fence();
#pragma unroll
    for (unsigned i = 0; i < group_products; ++i)
      ptx::warpgroup_mma<256, false, false>(sums, gemm::hopper::matrix_descriptor(a + i % 4 * step),
                                            gemm::hopper::matrix_descriptor(b + i % 4 * step), true);
    ptx::warpgroup_commit();
    ptx::warpgroup_wait<0>();
    ptx::warpgroup_settle(sums);
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < 128; ++i)
    total += sums[i];
  if (total == 1.2345678e33F) *never = total;
#endif
}

}  // namespace

bool peak_is_wgmma(gemm::Arithmetic arithmetic, const gemm::Chip& chip) {
  return arithmetic == gemm::Arithmetic::bf16 && chip.architecture == 90;
}

double issue_peak(gemm::Arithmetic arithmetic, const gemm::Chip& chip, int rounds, cudaStream_t stream) {
  const auto shape = [&](int blocks, int shared_bytes = 0) {
    return LaunchShape{.grid = dim3(static_cast<unsigned>(chip.multiprocessors * blocks)),
                       .block = dim3(threads),
                       .shared_bytes = static_cast<unsigned>(shared_bytes)};
  };
  float* const never = nullptr;
  const double per_round = 2.0 * rounds * chip.multiprocessors, warps = threads / 32;
  if (arithmetic == gemm::Arithmetic::fp32) {
    launch(fma_kernel, shape(fma_blocks), stream, rounds, never);
    return per_round * fma_blocks * threads * fma_steps * fma_chains;
  }
  if (peak_is_wgmma(arithmetic, chip)) {
    launch(wgmma_kernel, shape(1, wgmma_bytes), stream, rounds, never);
    return per_round * (threads / 128) * group_products * 64 * 256 * 16;
  }
  if (arithmetic == gemm::Arithmetic::tf32) {
    launch(mma_kernel<false>, shape(mma_blocks), stream, rounds, never);
    return per_round * mma_blocks * warps * mma_chains * 16 * 8 * 8;
  }
  launch(mma_kernel<true>, shape(mma_blocks), stream, rounds, never);
  return per_round * mma_blocks * warps * mma_chains * 16 * 8 * 16;
}

}  // namespace partita::kernels::cuda::yardstick
