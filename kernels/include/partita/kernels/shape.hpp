/// The logical extents of a tensor, outermost dimension first (images: channels, height, width), and texts of
/// extents.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>

#include "partita/kernels/count.hpp"
#include "partita/kernels/extents.hpp"

namespace partita::kernels {

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

/// "3", "3x5".
inline std::string to_string(const Extent2& extent) {
  return std::to_string(extent.h) + (extent.h == extent.w ? "" : "x" + std::to_string(extent.w));
}

}  // namespace partita::kernels
