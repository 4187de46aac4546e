/// Extents of images and windows, and how images lie in memory.
#pragma once

#include <cstdint>

namespace partita::kernels {

/// Where an image's channels lie in memory. Logical order is always (sample, channel, row, column).
enum class Layout { nchw, nhwc };

/// Along the height and along the width of an image; one number stands for both.
struct Extent2 {
  std::int64_t h = 0, w = 0;
  constexpr Extent2() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a number is a square's natural form
  constexpr Extent2(std::int64_t both) : h(both), w(both) {}
  constexpr Extent2(std::int64_t height, std::int64_t width) : h(height), w(width) {}
  [[nodiscard]] constexpr std::int64_t area() const { return h * w; }
  friend constexpr bool operator==(const Extent2&, const Extent2&) = default;
};

/// Windows of `kernel` elements, `stride` apart, that fit `extent` elements.
constexpr std::int64_t windows(std::int64_t extent, std::int64_t kernel, std::int64_t stride) {
  return extent < kernel ? 0 : (extent - kernel) / stride + 1;
}

}  // namespace partita::kernels
