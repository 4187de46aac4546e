/// What is asked of a block before it is copied.
#include "partita/kernels/strided_block.hpp"

#include <stdexcept>

namespace partita::kernels {

bool is_empty(const BlockExtents& extents) {
  bool empty = false;
  for (const auto extent : extents) {
    if (extent < 0) throw std::out_of_range("a block has a negative extent");
    empty |= extent == 0;
  }
  return empty;
}

void expect_inside(const BlockExtents& extents, const StridedBlock& block, Elements held) {
  std::int64_t lowest = block.offset, highest = block.offset;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    const std::int64_t reach = (extents[i] - 1) * block.strides[i];
    (reach < 0 ? lowest : highest) += reach;
  }
  if (lowest < 0 || highest >= held.value()) throw std::out_of_range("a block leaves its view");
}

}  // namespace partita::kernels
