/// The inner product of every convolution kernel that works by tiles: operands in shared memory, results in
/// registers.
///
/// A block computes M × N results from K-deep slices of its operands, which lie in shared memory as a[k][m]
/// and b[k][n]. Each thread owns ThreadM × ThreadN results, in groups of (up to) four neighbours so that
/// operands are read as vectors: with 8 × 8, four 16-byte reads serve 64 multiply-adds. Neighbouring threads
/// own neighbouring groups, so the reads of a warp meet no bank conflict beyond what their width takes.
#pragma once

#include <cuda_runtime.h>

namespace partita::kernels::cuda::convolution {

/// Extents of a block's tile; `Stages` slices are in flight at a time.
template <int M_, int N_, int K_, int ThreadM_, int ThreadN_, int Stages_, int BlocksPerMultiprocessor_>
struct Tile {
  static constexpr int M = M_, N = N_, K = K_, ThreadM = ThreadM_, ThreadN = ThreadN_, Stages = Stages_;
  static constexpr int RowThreads = M / ThreadM, ColumnThreads = N / ThreadN,
                       Threads = RowThreads * ColumnThreads;
  static constexpr int BlocksPerMultiprocessor = BlocksPerMultiprocessor_;
  static_assert(Threads % 32 == 0 && Threads % K == 0 && Threads >= Stages * K && (M * K) % Threads == 0 &&
                (N * K) % Threads == 0);
};

/// So many elements a thread has side by side, of `count`.
__host__ __device__ constexpr int group_of(int count) { return count < 4 ? count : 4; }

/// Of `Threads` threads that share a row of a tile, where thread `thread` has the i-th of its `Count`
/// elements.
template <int Count, int Threads>
__host__ __device__ constexpr int owned(int thread, int i) {
  constexpr int group = group_of(Count);
  return (i / group * Threads + thread) * group + i % group;
}

template <int Count, int Threads>
__device__ __forceinline__ void read_owned(float (&values)[Count], const float* row, int thread) {
  constexpr int group = group_of(Count);
#pragma unroll
  for (int i = 0; i < Count; i += group) {
    const float* from = row + owned<Count, Threads>(thread, i);
    if constexpr (group == 4) {
      const float4 v = *reinterpret_cast<const float4*>(from);
      values[i] = v.x, values[i + 1] = v.y, values[i + 2] = v.z, values[i + 3] = v.w;
    } else if constexpr (group == 2) {
      const float2 v = *reinterpret_cast<const float2*>(from);
      values[i] = v.x, values[i + 1] = v.y;
    } else {
      values[i] = *from;
    }
  }
}

/// sum += aᵀ·b over the K rows of a slice; rows of a and b are `RowA` and `RowB` floats apart.
template <class T, int RowA, int RowB>
__device__ __forceinline__ void multiply(float (&sum)[T::ThreadM][T::ThreadN], const float* a, const float* b,
                                         int row_thread, int column_thread) {
#pragma unroll
  for (int k = 0; k < T::K; ++k) {
    float left[T::ThreadM], right[T::ThreadN];
    read_owned<T::ThreadM, T::RowThreads>(left, a + k * RowA, row_thread);
    read_owned<T::ThreadN, T::ColumnThreads>(right, b + k * RowB, column_thread);
#pragma unroll
    for (int i = 0; i < T::ThreadM; ++i)
#pragma unroll
      for (int j = 0; j < T::ThreadN; ++j)
        sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
  }
}

}  // namespace partita::kernels::cuda::convolution
