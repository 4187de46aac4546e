/// Where an element of an image tensor [N, C, H, W] lies.
#pragma once

#include "partita/kernels/shape.hpp"

namespace partita::kernels::reference {

struct ImageIndex {
  std::int64_t channels, height, width;
  Layout layout;

  [[nodiscard]] std::size_t operator()(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) const {
    const auto index = layout == Layout::nchw ? ((n * channels + c) * height + h) * width + w
                                              : ((n * height + h) * width + w) * channels + c;
    return static_cast<std::size_t>(index);
  }
};

}  // namespace partita::kernels::reference
