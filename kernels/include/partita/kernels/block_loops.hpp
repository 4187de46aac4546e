/// The loops of a copy between strided blocks: in the order of the target's memory, and dimensions that lie
/// behind each other in both tensors as one, so that the innermost loop is as long a run as there is.
#pragma once

#include <cstdlib>

#include "partita/kernels/strided_block.hpp"

namespace partita::kernels {

/// One loop of the copy: how often, and how far both sides move each time.
struct BlockLoop {
  std::int64_t extent = 1, from = 0, to = 0;
};

/// The fewest loops, innermost last; those that are not needed come first and have the extent 1. Of a block
/// that is not empty.
inline std::array<BlockLoop, 4> loops_of(const BlockExtents& extents, const StridedBlock& from,
                                         const StridedBlock& to) {
  const auto outside = [](const BlockLoop& a, const BlockLoop& b) {
    return std::abs(a.to) != std::abs(b.to) ? std::abs(a.to) > std::abs(b.to)
                                            : std::abs(a.from) > std::abs(b.from);
  };
  std::array<BlockLoop, 4> sorted{}, merged{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    if (extents[i] == 1) continue;
    const BlockLoop loop{extents[i], from.strides[i], to.strides[i]};
    std::size_t place = count++;
    for (; place > 0 && outside(loop, sorted[place - 1]); --place)
      sorted[place] = sorted[place - 1];
    sorted[place] = loop;
  }
  std::size_t innermost = 4;
  while (count-- > 0) {
    const BlockLoop& next = sorted[count];
    if (innermost < 4) {
      BlockLoop& inner = merged[innermost];
      if (next.from == inner.extent * inner.from && next.to == inner.extent * inner.to) {
        inner.extent *= next.extent;
        continue;
      }
    }
    merged[--innermost] = next;
  }
  return merged;
}

}  // namespace partita::kernels
