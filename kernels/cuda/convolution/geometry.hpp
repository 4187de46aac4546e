/// Where the operands of a convolution lie, seen as a matrix product.
///
/// The image operand of the product is never written out: its element (tap, pixel) is read from where it lies
/// in the image ("implicit GEMM", Chetlur et al. 2014, arXiv:1410.0759). A *pixel* is an output position
/// (sample, row, column) numbered in that order; a *tap* is (channel, row of the kernel, column of the
/// kernel), likewise. Both directions that gather are the same arithmetic:
///
///   forward        pixel (n, oh, ow), tap (c, r, q): X[n, c, oh·stride.h − padding.h + r,
///                                                            ow·stride.w − padding.w + q]
///   data gradient  pixel (n, h, w),   tap (k, r, q): dY[n, k, (h + padding.h − r) / stride.h,
///                                                             (w + padding.w − q) / stride.w]
///
/// where the second exists only if the divisions leave nothing. So a pixel has an anchor, a tap a
/// displacement, and their sum says whether the element exists and where.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "divisor.hpp"
#include "partita/kernels/operations.hpp"

namespace partita::kernels::cuda::convolution {

/// Coordinates that no sum brings back into an image.
inline constexpr int outside = -(1 << 29);

/// How pixels and taps find their elements. Passed to kernels by value.
struct Gather {
  int channels = 0, height = 0, width = 0;  ///< of the image that is read
  int pixels = 0, taps = 0;
  int step_h = 1, step_w = 1;      ///< of the anchor from a pixel to the next
  int origin_h = 0, origin_w = 0;  ///< of the anchor of pixel (0, 0)
  int direction = 1;               ///< taps lie after (1) or before (−1) their anchor
  int weight_row = 0,
      weight_channel = 0;      ///< elements between the product's rows, and channels read, in the filters
  Divisor plane, row;          ///< pixels of a sample, and of a row of it
  Divisor window, window_row;  ///< taps of a channel, and of a row of it
  Divisor stride_h, stride_w;  ///< what the sum of anchor and tap is divided by
  [[nodiscard]] __host__ __device__ constexpr bool divides() const {
    return stride_h.value > 1 || stride_w.value > 1;
  }
};

/// Pixels' part: the corner that its taps count from, and the sample's (or, without division, the corner's)
/// place.
struct Anchor {
  std::int64_t offset = 0;
  int h = outside, w = outside;
};

/// Taps' part; `weight` is where the product's row 0 has its factor in the filters, −1 past the last tap.
struct alignas(16) Tap {
  int offset = 0, h = outside, w = outside, weight = -1;
};

/// An element of the image, if there is one, counted from the anchor's offset.
struct Source {
  int offset = 0;
  bool present = false;
};

[[nodiscard]] __host__ __device__ constexpr Anchor anchor(const Gather& g, int pixel) {
  if (pixel >= g.pixels) return {};
  const auto [sample, position] = divide(pixel, g.plane);
  const auto [row, column] = divide(position, g.row);
  const int h = row * g.step_h + g.origin_h, w = column * g.step_w + g.origin_w;
  const auto first = static_cast<std::int64_t>(sample) * g.channels * g.height * g.width;
  const int within = h * g.width + w;
  return {g.divides() ? first : first + within, h, w};
}

[[nodiscard]] __host__ __device__ constexpr Tap tap(const Gather& g, int index) {
  if (index >= g.taps) return {};
  const auto [channel, position] = divide(index, g.window);
  const auto [row, column] = divide(position, g.window_row);
  const int h = row * g.direction, w = column * g.direction;
  const int plane = channel * g.height * g.width;
  return {g.divides() ? plane : plane + h * g.width + w, h, w, channel * g.weight_channel + position};
}

/// Where anchor and tap meet. `Divided` says that g divides.
template <bool Divided>
[[nodiscard]] __host__ __device__ constexpr Source source(const Gather& g, const Anchor& at, const Tap& tap) {
  const int h = at.h + tap.h, w = at.w + tap.w;
  if constexpr (!Divided) {
    const bool present = static_cast<unsigned>(h) < static_cast<unsigned>(g.height) &&
                         static_cast<unsigned>(w) < static_cast<unsigned>(g.width);
    return {tap.offset, present};
  } else {
    if (h < 0 || w < 0) return {};
    const auto [row, row_rest] = divide(h, g.stride_h);
    const auto [column, column_rest] = divide(w, g.stride_w);
    const bool present = row_rest == 0 && column_rest == 0 && row < g.height && column < g.width;
    return {tap.offset + row * g.width + column, present};
  }
}

/// Y from X; also the image operand of the weight gradient.
inline Gather forward_gather(const ConvolutionShape& s) {
  const auto plane = s.out_height() * s.out_width(), window = s.kernel.h * s.kernel.w;
  return {.channels = static_cast<int>(s.channels),
          .height = static_cast<int>(s.height),
          .width = static_cast<int>(s.width),
          .pixels = static_cast<int>(s.batch * plane),
          .taps = static_cast<int>(s.channels * window),
          .step_h = static_cast<int>(s.stride.h),
          .step_w = static_cast<int>(s.stride.w),
          .origin_h = static_cast<int>(-s.padding.h),
          .origin_w = static_cast<int>(-s.padding.w),
          .weight_row = static_cast<int>(s.channels * window),
          .weight_channel = static_cast<int>(window),
          .plane = Divisor(plane),
          .row = Divisor(s.out_width()),
          .window = Divisor(window),
          .window_row = Divisor(s.kernel.w)};
}

/// dX from dY: taps count backwards, which flips the filters.
inline Gather data_gather(const ConvolutionShape& s) {
  const auto plane = s.height * s.width, window = s.kernel.h * s.kernel.w;
  return {.channels = static_cast<int>(s.filters),
          .height = static_cast<int>(s.out_height()),
          .width = static_cast<int>(s.out_width()),
          .pixels = static_cast<int>(s.batch * plane),
          .taps = static_cast<int>(s.filters * window),
          .origin_h = static_cast<int>(s.padding.h),
          .origin_w = static_cast<int>(s.padding.w),
          .direction = -1,
          .weight_row = static_cast<int>(window),
          .weight_channel = static_cast<int>(s.channels * window),
          .plane = Divisor(plane),
          .row = Divisor(s.width),
          .window = Divisor(window),
          .window_row = Divisor(s.kernel.w),
          .stride_h = Divisor(s.stride.h),
          .stride_w = Divisor(s.stride.w)};
}

}  // namespace partita::kernels::cuda::convolution
