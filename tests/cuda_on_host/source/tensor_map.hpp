/// What the emulation keeps in a tensor map's opaque words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda.h"

namespace cuda_on_host {

/// A matrix in global memory, x innermost, and the box that is copied.
struct TensorMapContent {
  std::uint64_t magic;
  std::byte* data;
  std::int64_t extent_x, extent_y, row_bytes;
  int box_x, box_y, element_bytes;
  unsigned swizzle;  ///< span in bytes, or 0

  static constexpr std::uint64_t valid = 0x70616d726f736e65;
  bool is_valid() const { return magic == valid; }
  std::int64_t box_bytes() const { return std::int64_t{box_x} * box_y * element_bytes; }
};
static_assert(sizeof(TensorMapContent) <= sizeof(CUtensorMap));

inline TensorMapContent content_of(const CUtensorMap& map) {
  TensorMapContent content;
  std::memcpy(&content, &map, sizeof(content));
  return content;
}

}  // namespace cuda_on_host
