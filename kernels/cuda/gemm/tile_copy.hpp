/// Copies of float32 tiles from global memory to shared memory as [k][r] by cp.async, whichever dimension is
/// innermost in memory.
///
/// Rows and columns of C beyond its edges are clamped to the last one: what comes of them is never stored,
/// and copies need no condition but that of k, beyond whose end zeros are written.
#pragma once

#include "operand.hpp"
#include "ptx/async_copy.hpp"

namespace partita::kernels::cuda::gemm {

/// How an operand lies: k innermost, copied in pieces of 4 bytes; rows or columns innermost, in pieces of 16
/// bytes (see `in_vectors`); either, in pieces of 4 bytes, as the operand says at run time.
enum class Order { k_innermost, vectors, any };

/// Floats from one k to the next in a tile of `extent`: on boundaries of 16 bytes; eight k of four
/// neighbours lie in all banks once.
__host__ __device__ constexpr int tile_pitch(int extent) { return extent + 4; }

__device__ __forceinline__ int clamped(std::int64_t index, std::int64_t extent) {
  return static_cast<int>(index < extent ? index : extent > 0 ? extent - 1 : 0);
}

/// One thread's share of copying tiles [Depth][Extent], one after the other along k.
template <Order order, int Extent, int Depth, int Threads>
class TileCopy;

/// Eight neighbours along k and four rows for each warp: whole sectors of 32 bytes are read, all banks
/// written.
template <int Extent, int Depth, int Threads>
class TileCopy<Order::k_innermost, Extent, Depth, Threads> {
  static constexpr int rows = Threads / 8, count = Extent / rows;
  static_assert(Extent % rows == 0 && Depth % 8 == 0);

 public:
  __device__ __forceinline__ TileCopy(const Operand& operand, int first, int k0, int thread)
      : next_(static_cast<const float*>(operand.data) + operand.index(clamped(first, operand.extent), k0)),
        shared_(thread % 8 * tile_pitch(Extent) + thread / 8),
        k_(thread % 8) {
    const int base = clamped(first, operand.extent);
#pragma unroll
    for (int i = 0; i < count; ++i) {
      const int r = clamped(first + thread / 8 + i * rows, operand.extent) - base;
      offsets_[i] = static_cast<std::uint32_t>(r) * static_cast<std::uint32_t>(operand.row) + k_;
    }
  }

  /// Issues the copies of the next tile to `stage`, of which `left` k exist.
  __device__ __forceinline__ void copy(float* stage, int left) {
#pragma unroll
    for (int i = 0; i < count; ++i)
#pragma unroll
      for (int k = 0; k < Depth; k += 8)
        ptx::copy_async_4(stage + shared_ + k * tile_pitch(Extent) + i * rows, next_ + offsets_[i] + k,
                          k_ + k < left);
    next_ += Depth;
  }

 private:
  const float* next_;
  int shared_;
  int k_;
  std::uint32_t offsets_[count];
};

template <int Extent, int Depth, int Threads>
class TileCopy<Order::vectors, Extent, Depth, Threads> {
  static constexpr int pieces = Extent / 4, step = Threads / pieces, count = Depth / step;
  static_assert(Threads % pieces == 0 && Depth % step == 0);

 public:
  __device__ __forceinline__ TileCopy(const Operand& operand, int first, int k0, int thread)
      : step_(step * operand.row),
        k_(thread / pieces),
        shared_(k_ * tile_pitch(Extent) + thread % pieces * 4) {
    const int r = clamped(first + thread % pieces * 4, operand.extent) / 4 * 4;
    next_ = static_cast<const float*>(operand.data) + operand.index(r, k0 + k_);
  }

  __device__ __forceinline__ void copy(float* stage, int left) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      ptx::copy_async_16(stage + shared_ + i * step * tile_pitch(Extent), next_, k_ + i * step < left);
      next_ += step_;
    }
  }

 private:
  const float* next_;
  std::int64_t step_;
  int k_, shared_;
};

/// As the others with copies of 4 bytes, decided at run time.
template <int Extent, int Depth, int Threads>
class TileCopy<Order::any, Extent, Depth, Threads> {
  static constexpr int count = Depth * Extent / Threads, step = Threads / Extent, rows = Threads / 8;
  static_assert(Depth == 16 && Threads % Extent == 0 && Extent % rows == 0);

 public:
  __device__ __forceinline__ TileCopy(const Operand& operand, int first, int k0, int thread)
      : row_(static_cast<std::uint32_t>(operand.row)), along_k_(operand.k_innermost) {
    const int base = clamped(first, operand.extent);
    next_ = static_cast<const float*>(operand.data) + operand.index(base, k0);
    k_ = along_k_ ? thread % 8 : thread / Extent;
    const int r = along_k_ ? thread / 8 : thread % Extent;
    shared_ = k_ * tile_pitch(Extent) + r;
#pragma unroll
    for (int i = 0; i < count; ++i)
      offsets_[i] = static_cast<std::uint32_t>(
          operand.index(clamped(first + r + r_of(i), operand.extent) - base, k_ + k_of(i)));
  }

  __device__ __forceinline__ void copy(float* stage, int left) {
#pragma unroll
    for (int i = 0; i < count; ++i)
      ptx::copy_async_4(stage + shared_ + k_of(i) * tile_pitch(Extent) + r_of(i), next_ + offsets_[i],
                        k_ + k_of(i) < left);
    next_ += along_k_ ? Depth : static_cast<std::uint64_t>(Depth) * row_;
  }

 private:
  /// What element i of this thread has more than its first.
  __device__ __forceinline__ int k_of(int i) const { return along_k_ ? i % 2 * 8 : i * step; }
  __device__ __forceinline__ int r_of(int i) const { return along_k_ ? i / 2 * rows : 0; }

  const float* next_;
  std::uint32_t row_;
  bool along_k_;
  int k_, shared_;
  std::uint32_t offsets_[count];
};

}  // namespace partita::kernels::cuda::gemm
