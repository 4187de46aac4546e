/// Shared memory of the blocks that run at the same time, filled with NaN patterns and watched at its
/// borders.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "machine.hpp"

namespace cuda_on_host {

/// Shared memory of all blocks of a cluster, each between guards.
struct Windows {
  std::size_t stride;
  std::byte* memory;
  explicit Windows(const Launch& launch)
      : stride((launch.shared_bytes + 1023) / 1024 * 1024 + 2 * guard_bytes),
        memory(static_cast<std::byte*>(std::aligned_alloc(1024, stride * launch.cluster))) {
    if (!memory) throw std::bad_alloc();
  }
  ~Windows() { std::free(memory); }
  Windows(const Windows&) = delete;
  Windows& operator=(const Windows&) = delete;

  std::byte* window(unsigned rank) const { return memory + rank * stride + guard_bytes; }
  void fill(unsigned rank) const { std::memset(memory + rank * stride, poison, stride); }
  void check(unsigned rank, const Launch& launch) const {
    const auto* const begin = reinterpret_cast<const unsigned char*>(memory + rank * stride);
    const auto* const inside = begin + guard_bytes;
    const auto untouched = [](unsigned char c) { return c == poison; };
    const auto* const before = std::find_if_not(begin, inside, untouched);
    if (before != inside)
      throw Fault("kernel " + launch.name + ": wrote " + std::to_string(inside - before) +
                  " bytes before its dynamic shared memory");
    const auto* const after = std::find_if_not(inside + launch.shared_bytes, begin + stride, untouched);
    if (after != begin + stride)
      throw Fault("kernel " + launch.name + ": wrote at byte " + std::to_string(after - inside) + " of " +
                  std::to_string(launch.shared_bytes) + " bytes of dynamic shared memory");
  }
};

}  // namespace cuda_on_host
