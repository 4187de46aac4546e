/// Element-wise work four elements at a time: one thread a float4 where every pointer allows it, and the rest
/// singly.
#pragma once

#include <algorithm>
#include <cstdint>

#include "launch.hpp"

namespace partita::kernels::cuda {

inline constexpr unsigned elementwise_threads = 256;

/// Blocks for `work` threads' worth of work; threads of more than so many blocks go round.
inline unsigned blocks_for(std::int64_t work, std::int64_t most = 4096) {
  return static_cast<unsigned>(
      std::clamp<std::int64_t>((work + elementwise_threads - 1) / elementwise_threads, 1, most));
}

/// Whether float4 may be read at all of these.
template <class... Pointers>
bool on_vector_boundary(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % sizeof(float4) == 0) && ...);
}

/// The first index of this thread and the number of threads, over all blocks of x.
__device__ inline std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t thread_count() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

}  // namespace partita::kernels::cuda
