/// Copies of tiles from global memory to where tensor cores' fragments are read from, 128 bytes of k deep.
///
/// Tiles with k innermost lie [r][128 bytes of k], swizzled (`swizzled_piece`). Those with rows or columns
/// innermost keep memory's order, [k][r]: of bfloat16 swizzled, since ldmatrix transposes them; of float32 in
/// rows 8 elements longer, which single loads read without meeting a bank twice. Rows and columns of C beyond
/// its edges are clamped to the last: what comes of them is never stored.
#pragma once

#include <cuda_bf16.h>

#include "ptx/async_copy.hpp"
#include "tile_copy.hpp"
#include "tiles.hpp"

namespace partita::kernels::cuda::gemm {

template <class Element>
inline constexpr int tensor_depth = 128 / static_cast<int>(sizeof(Element));
template <class Element>
inline constexpr int piece_elements = 16 / static_cast<int>(sizeof(Element));

/// Bytes of a row of a [k][r] tile.
template <class Element>
__host__ __device__ constexpr int outer_row_bytes(int extent) {
  return sizeof(Element) == 2 ? extent * 2 : (extent + 8) * 4;
}
/// Bytes from the begin of a [k][r] tile to elements k, r ….
template <class Element>
__host__ __device__ constexpr int outer_place(int k, int r, int extent) {
  if constexpr (sizeof(Element) == 2) return swizzled_piece(k, r / 8, extent * 2) + r % 8 * 2;
  return k * outer_row_bytes<Element>(extent) + r * 4;
}
/// Bytes of a tile in either order.
template <class Element>
__host__ __device__ constexpr int tensor_tile_bytes(int extent, Order order) {
  return order == Order::vectors ? tensor_depth<Element> * outer_row_bytes<Element>(extent) : extent * 128;
}

/// One thread's share of copying tiles, one after the other along k.
template <class Element, Order order, int Extent, int Threads>
class TensorCopy;

/// In pieces of 16 bytes along k.
template <class Element, int Extent, int Threads>
class TensorCopy<Element, Order::k_innermost, Extent, Threads> {
  static constexpr int rows = Threads / 8, count = Extent / rows, depth = tensor_depth<Element>;
  static_assert(rows % 8 == 0 && Extent % rows == 0);

 public:
  __device__ __forceinline__ TensorCopy(const Operand& operand, int first, int k0, int thread)
      : k_(thread % 8 * piece_elements<Element>), shared_(swizzled_piece(thread / 8, thread % 8, 128)) {
    const int base = clamped(first, operand.extent);
    next_ = static_cast<const Element*>(operand.data) + operand.index(base, k0 + k_);
#pragma unroll
    for (int i = 0; i < count; ++i)
      offsets_[i] =
          static_cast<std::uint32_t>(clamped(first + thread / 8 + i * rows, operand.extent) - base) *
          static_cast<std::uint32_t>(operand.row);
  }
  __device__ __forceinline__ void copy(unsigned char* stage, int left) {
#pragma unroll
    for (int i = 0; i < count; ++i)
      ptx::copy_async_16(stage + shared_ + i * rows * 128, next_ + offsets_[i], k_ < left);
    next_ += depth;
  }

 private:
  const Element* next_;
  int k_, shared_;
  std::uint32_t offsets_[count];
};

/// In pieces of 16 bytes along rows or columns of C.
template <class Element, int Extent, int Threads>
class TensorCopy<Element, Order::vectors, Extent, Threads> {
  static constexpr int per_piece = piece_elements<Element>, pieces = Extent / per_piece;
  static constexpr int step = Threads / pieces, depth = tensor_depth<Element>, count = depth / step;
  static_assert(Threads % pieces == 0 && depth % step == 0 && (sizeof(Element) == 4 || step % 8 == 0));

 public:
  __device__ __forceinline__ TensorCopy(const Operand& operand, int first, int k0, int thread)
      : row_(static_cast<std::uint32_t>(operand.row)),
        k_(thread / pieces),
        shared_(outer_place<Element>(k_, thread % pieces * per_piece, Extent)) {
    const int r = clamped(first + thread % pieces * per_piece, operand.extent) / per_piece * per_piece;
    next_ = static_cast<const Element*>(operand.data) + operand.index(r, k0 + k_);
  }
  __device__ __forceinline__ void copy(unsigned char* stage, int left) {
#pragma unroll
    for (int i = 0; i < count; ++i)
      ptx::copy_async_16(stage + shared_ + i * step * outer_row_bytes<Element>(Extent),
                         next_ + static_cast<std::uint32_t>(i * step) * row_, k_ + i * step < left);
    next_ += static_cast<std::uint64_t>(depth) * row_;
  }

 private:
  const Element* next_;
  std::uint32_t row_;
  int k_, shared_;
};

/// Element by element through registers, whatever the alignment and the order in memory; the tile has k
/// innermost.
template <class Element, int Extent, int Threads>
class TensorCopy<Element, Order::any, Extent, Threads> {
  static constexpr int per_piece = piece_elements<Element>, count = Extent * 8 / Threads;
  static_assert(Threads % Extent == 0);

 public:
  __device__ __forceinline__ TensorCopy(const Operand& operand, int first, int k0, int thread)
      : operand_(operand), first_(first), k0_(k0), thread_(thread) {}
  __device__ __forceinline__ void copy(unsigned char* stage, int left) {
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
      const int r = operand_.k_innermost ? (thread_ + i * Threads) / 8 : thread_ % Extent;
      const int piece = operand_.k_innermost ? thread_ % 8 : (thread_ + i * Threads) / Extent;
      copy_piece(stage + swizzled_piece(r, piece, 128), r, piece * per_piece, left);
    }
    k0_ += tensor_depth<Element>;
  }

 private:
  __device__ __forceinline__ void copy_piece(unsigned char* to, int r, int k, int left) const {
    union {
      uint4 whole;
      Element elements[per_piece];
    } piece;
    piece.whole = {0, 0, 0, 0};
    const auto* from = static_cast<const Element*>(operand_.data);
    const int row = clamped(first_ + r, operand_.extent);
#pragma unroll
    for (int i = 0; i < per_piece; ++i)
      if (k + i < left) piece.elements[i] = from[operand_.index(row, k0_ + k + i)];
    *reinterpret_cast<uint4*>(to) = piece.whole;
  }

  Operand operand_;
  int first_, k0_, thread_;
};

}  // namespace partita::kernels::cuda::gemm
