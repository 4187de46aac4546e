/// Normal numbers made on the device: benchmarked operands take gigabytes.
#include <cuda_bf16.h>

#include "operands.hpp"
#include "partita/kernels/philox.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda::yardstick {
namespace {

__device__ __forceinline__ void store(float* to, float value) { *to = value; }
__device__ __forceinline__ void store(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }

/// Box and Muller, as `random_normal` does in double.
template <class Element>
__global__ void normal_kernel(Element* to, std::int64_t n, RandomStream stream) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const auto words = random_words(stream, static_cast<std::uint64_t>(i));
    const float u = (static_cast<float>(words[0] >> 8) + 0.5F) * 0x1p-24F;
    const float v = (static_cast<float>(words[1] >> 8) + 0.5F) * 0x1p-24F;
    store(to + i, ::sqrtf(-2.0F * ::logf(u)) * ::cosf(6.2831853F * v));
  }
}

}  // namespace

void fill_normal(void* data, std::int64_t n, bool bf16, std::uint64_t stream_number, cudaStream_t stream) {
  const LaunchShape shape{.grid = dim3(blocks_for(n)), .block = dim3(elementwise_threads)};
  const RandomStream numbers{.seed = 1, .stream = stream_number};
  if (n == 0) return;
  if (bf16)
    launch(normal_kernel<__nv_bfloat16>, shape, stream, static_cast<__nv_bfloat16*>(data), n, numbers);
  else
    launch(normal_kernel<float>, shape, stream, static_cast<float*>(data), n, numbers);
}

}  // namespace partita::kernels::cuda::yardstick
