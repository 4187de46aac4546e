#include <cuda_bf16.h>

#include "launch.hpp"
#include "simple_gemm.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr int tile = 16;

__device__ float widened(float value) { return value; }
__device__ float widened(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class T>
__device__ float left(const gemm::Arguments& p, std::int64_t i, std::int64_t k) {
  return widened(static_cast<const T*>(p.a)[p.transpose_a ? k * p.row_a + i : i * p.row_a + k]);
}
template <class T>
__device__ float right(const gemm::Arguments& p, std::int64_t k, std::int64_t j) {
  return widened(static_cast<const T*>(p.b)[p.transpose_b ? j * p.row_b + k : k * p.row_b + j]);
}

template <class T>
__global__ void multiply(gemm::Arguments p) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * tile + threadIdx.x;
  if (j >= p.n) return;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.y) * tile + threadIdx.y; i < p.m;
       i += static_cast<std::int64_t>(gridDim.y) * tile) {
    float sum = 0;
    for (std::int64_t k = 0; k < p.k; ++k)
      sum = fmaf(left<T>(p, i, k), right<T>(p, k, j), sum);
    float& c = static_cast<float*>(p.c)[i * p.row_c + j];
    float value = p.alpha * sum;
    if (p.beta != 0) value += p.beta * c;
    if (p.bias) value += p.bias[j];
    if (p.relu && value < 0) value = 0;
    if (p.mask && !(static_cast<const float*>(p.mask)[i * p.row_c + j] > 0)) value = 0;
    c = value;
  }
}

template <class T>
__global__ void add_rows(gemm::Arguments p) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.m) return;
  float sum = 0;
  for (std::int64_t k = 0; k < p.k; ++k)
    sum += left<T>(p, i, k);
  p.row_sums[i] = p.alpha * sum + (p.beta != 0 ? p.beta * p.row_sums[i] : 0.0F);
}

template <class T>
void run(const gemm::Arguments& p, std::byte*, const gemm::Chip&, cudaStream_t stream) {
  const auto tiles = [](std::int64_t extent) { return static_cast<unsigned>((extent + tile - 1) / tile); };
  const dim3 grid(tiles(p.n), tiles(p.m) < 65535 ? tiles(p.m) : 65535);
  launch(multiply<T>, {.grid = grid, .block = dim3(tile, tile)}, stream, p);
  if (p.row_sums)
    launch(add_rows<T>, {.grid = dim3(static_cast<unsigned>((p.m + 127) / 128)), .block = dim3(128)}, stream,
           p);
}

bool any(const gemm::Arguments& p) { return !p.c_is_bf16; }
Bytes none(const gemm::Arguments&, const gemm::Chip&) { return Bytes(0); }

}  // namespace

const gemm::Kernel& simple_gemm(gemm::Arithmetic arithmetic) {
  static constexpr gemm::Kernel single{"simple", gemm::Arithmetic::tf32, 80, any, none, run<float>},
      bf16{"simple", gemm::Arithmetic::bf16, 80, any, none, run<__nv_bfloat16>};
  return arithmetic == gemm::Arithmetic::bf16 ? bf16 : single;
}

}  // namespace partita::kernels::cuda
