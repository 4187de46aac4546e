/// Four-dimensional blocks of elements inside tensors with any strides: a shard of a tensor, a halo of an
/// image, the columns of one rank.
#pragma once

#include <array>
#include <cstdint>

#include "partita/kernels/count.hpp"

namespace partita::kernels {

using BlockExtents = std::array<std::int64_t, 4>;

/// Element (i, j, k, l) of the block lies at offset + i·strides[0] + j·strides[1] + k·strides[2] +
/// l·strides[3], in elements of its view. Strides may be 0 or negative.
struct StridedBlock {
  std::int64_t offset = 0;
  std::array<std::int64_t, 4> strides{};
};

/// Whether the block has no element. A negative extent is a broken contract.
bool is_empty(const BlockExtents& extents);

/// Throws unless every element of a block that is not empty lies in a view of `held` elements.
void expect_inside(const BlockExtents& extents, const StridedBlock& block, Elements held);

}  // namespace partita::kernels
