/// Reductions over groups of threads of a block, in an order that depends on the size of the group only.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace partita::kernels::cuda {

inline constexpr int block_threads = 256, warp_threads = 32, block_warps = block_threads / warp_threads;

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// The larger; what is not a number loses.
struct Larger {
  __device__ float operator()(float a, float b) const { return b > a ? b : a; }
};
struct Lower {
  __device__ std::int64_t operator()(std::int64_t a, std::int64_t b) const { return b < a ? b : a; }
};

/// 1, 32 or all 256 threads of a block that work on one row. All threads of the block call `reduce` together;
/// `room` is shared memory for one T a warp.
template <int Threads>
struct Group {
  static constexpr int rows = block_threads / Threads;  ///< at a time in a block
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % Threads; }
  __device__ static int row() { return static_cast<int>(threadIdx.x) / Threads; }

  /// f over the values of the group, the same bits in each of its threads; f is commutative.
  template <class T, class F>
  __device__ static T reduce(T value, F f, T* room) {
    if constexpr (Threads >= warp_threads)
      for (int distance = warp_threads / 2; distance > 0; distance /= 2)
        value = f(value, __shfl_xor_sync(0xFFFFFFFFU, value, distance));
    if constexpr (Threads > warp_threads) {
      const int warp = static_cast<int>(threadIdx.x) / warp_threads;
      if (threadIdx.x % warp_threads == 0) room[warp] = value;
      __syncthreads();
      value = room[0];
      for (int i = 1; i < block_warps; ++i)
        value = f(value, room[i]);
      __syncthreads();
    }
    return value;
  }
};

using Block = Group<block_threads>;

}  // namespace partita::kernels::cuda
