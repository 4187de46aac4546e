/// Memory-bound kernels after a product. The family's own kernels do all of this in registers before C is
/// written: what that spares is one reading and one writing of C.
#include <cuda_bf16.h>

#include "after_product.hpp"
#include "launch.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

__device__ __forceinline__ float load(const float* from) { return *from; }
__device__ __forceinline__ float load(const __nv_bfloat16* from) { return __bfloat162float(*from); }
__device__ __forceinline__ void store(float* to, float value) { *to = value; }
__device__ __forceinline__ void store(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }

/// A thread for every column of a row, blocks over rows.
template <class Element>
__global__ void finish_kernel(const Arguments p, bool with_bias) {
  auto* c = static_cast<Element*>(p.c);
  const auto* mask = static_cast<const Element*>(p.mask);
  for (std::int64_t i = blockIdx.y; i < p.m; i += gridDim.y)
    for (std::int64_t j = blockIdx.x * std::int64_t{blockDim.x} + threadIdx.x; j < p.n;
         j += std::int64_t{gridDim.x} * blockDim.x) {
      float value = load(c + i * p.row_c + j);
      if (with_bias) value += p.bias[j];
      if (p.relu && value < 0) value = 0;
      if (mask != nullptr && !(load(mask + i * p.row_c + j) > 0)) value = 0;
      store(c + i * p.row_c + j, value);
    }
}

constexpr int sum_rows = 32, sum_parts = 8;

/// Threads (x, y): 32 × 8. Where rows of op(A) lie side by side in memory x is the row and y takes every 8th
/// k; else the roles are exchanged so that neighbours read neighbours, and 8 rows a time are summed by 32
/// threads each.
template <class Element>
__global__ void row_sums_kernel(const Arguments p) {
  __shared__ float parts[sum_rows * (sum_rows + 1)];
  const auto* a = static_cast<const Element*>(p.a);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const std::int64_t first = std::int64_t{blockIdx.x} * sum_rows;
  const int threads_of_row = p.transpose_a ? sum_parts : sum_rows;
  for (int group = 0; group < (p.transpose_a ? 1 : sum_rows / sum_parts); ++group) {
    const int row = p.transpose_a ? x : group * sum_parts + y, part = p.transpose_a ? y : x;
    float sum = 0;
    if (first + row < p.m)
      for (std::int64_t k = part; k < p.k; k += threads_of_row)
        sum += load(a + (p.transpose_a ? k * p.row_a + first + row : (first + row) * p.row_a + k));
    parts[row * (sum_rows + 1) + part] = sum;
  }
  __syncthreads();
  if (y == 0 && first + x < p.m) {
    float sum = 0;
    for (int part = 0; part < threads_of_row; ++part)
      sum += parts[x * (sum_rows + 1) + part];
    float& result = p.row_sums[first + x];
    result = p.alpha * sum + (p.beta != 0 ? p.beta * result : 0);
  }
}

}  // namespace

void finish_in_place(const Arguments& p, bool with_bias, cudaStream_t stream) {
  if (p.m == 0 || p.n == 0 || !(with_bias || p.relu || p.mask != nullptr)) return;
  const LaunchShape shape{.grid = dim3(static_cast<unsigned>((p.n + 255) / 256),
                                       static_cast<unsigned>(p.m < 65535 ? p.m : 65535)),
                          .block = dim3(256)};
  launch(p.c_is_bf16 ? finish_kernel<__nv_bfloat16> : finish_kernel<float>, shape, stream, p, with_bias);
}

void add_row_sums(const Arguments& p, bool a_is_bf16, cudaStream_t stream) {
  if (p.m == 0 || p.row_sums == nullptr) return;
  const LaunchShape shape{.grid = dim3(static_cast<unsigned>((p.m + sum_rows - 1) / sum_rows)),
                          .block = dim3(sum_rows, sum_parts)};
  launch(a_is_bf16 ? row_sums_kernel<__nv_bfloat16> : row_sums_kernel<float>, shape, stream, p);
}

}  // namespace partita::kernels::cuda::gemm
