/// The logical extents of a tensor, outermost dimension first (images: channels, height, width), and those of
/// windows.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>

#include "partita/kernels/count.hpp"

namespace partita::kernels {

/// Where an image's channels lie in memory. Logical order is always (sample, channel, row, column).
enum class Layout { nchw, nhwc };

/// Up to four extents; a shape of rank 0 has one element.
class Shape {
 public:
  static constexpr std::size_t max_rank = 4;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<std::int64_t> extents) {
    if (extents.size() > max_rank) throw std::length_error("a shape has at most four dimensions");
    for (auto extent : extents)
      extents_[rank_++] = extent;
  }

  [[nodiscard]] constexpr std::size_t rank() const { return rank_; }
  [[nodiscard]] constexpr std::int64_t operator[](std::size_t i) const { return extents_[i]; }
  [[nodiscard]] std::span<const std::int64_t> extents() const { return {extents_.data(), rank_}; }
  [[nodiscard]] constexpr Elements elements() const {
    std::int64_t n = 1;
    for (std::size_t i = 0; i < rank_; ++i)
      n *= extents_[i];
    return Elements(n);
  }
  friend constexpr bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::int64_t, max_rank> extents_{};
  std::size_t rank_ = 0;
};

/// "1x28x28"; "scalar" for rank 0.
inline std::string to_string(const Shape& shape) {
  if (shape.rank() == 0) return "scalar";
  std::string text;
  for (auto extent : shape.extents())
    text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

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

/// "3", "3x5".
inline std::string to_string(const Extent2& extent) {
  return std::to_string(extent.h) + (extent.h == extent.w ? "" : "x" + std::to_string(extent.w));
}

/// Windows of `kernel` elements, `stride` apart, that fit `extent` elements.
constexpr std::int64_t windows(std::int64_t extent, std::int64_t kernel, std::int64_t stride) {
  return extent < kernel ? 0 : (extent - kernel) / stride + 1;
}

}  // namespace partita::kernels
