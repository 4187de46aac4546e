/// Convolution as its definition: every output sums its window, every gradient its uses.
#pragma once

#include <algorithm>
#include <span>

#include "image.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

template <class T>
class ReferenceConvolution final : public Convolution {
 public:
  explicit ReferenceConvolution(const ConvolutionShape& s)
      : s_(s),
        x_{s.channels, s.height, s.width, s.layout},
        y_{s.filters, s.out_height(), s.out_width(), s.layout} {}

  void forward(ConstView x, ConstView weight, ConstView bias, View y, Workspace) override {
    const auto X = x.as<T>(), W = weight.as<T>();
    const auto b = s_.bias ? bias.as<T>() : std::span<const T>();
    const auto Y = y.as<T>();
    each_output([&](std::int64_t n, std::int64_t k, std::int64_t h, std::int64_t w) {
      T sum = s_.bias ? b[static_cast<std::size_t>(k)] : T(0);
      each_tap(h, w, [&](std::int64_t c, std::int64_t r, std::int64_t q, std::int64_t ih, std::int64_t iw) {
        sum += X[x_(n, c, ih, iw)] * W[w_(k, c, r, q)];
      });
      Y[y_(n, k, h, w)] = s_.epilogue == Epilogue::relu && sum < T(0) ? T(0) : sum;
    });
  }

  void backward_data(ConstView dy, ConstView weight, View dx, Workspace) override {
    const auto DY = dy.as<T>(), W = weight.as<T>();
    const auto DX = dx.as<T>();
    std::fill(DX.begin(), DX.end(), T(0));
    each_output([&](std::int64_t n, std::int64_t k, std::int64_t h, std::int64_t w) {
      const T gradient = DY[y_(n, k, h, w)];
      each_tap(h, w, [&](std::int64_t c, std::int64_t r, std::int64_t q, std::int64_t ih, std::int64_t iw) {
        DX[x_(n, c, ih, iw)] += gradient * W[w_(k, c, r, q)];
      });
    });
  }

  void backward_parameters(ConstView x, ConstView dy, View dweight, View dbias, Write write,
                           Workspace) override {
    const auto X = x.as<T>(), DY = dy.as<T>();
    const auto DW = dweight.as<T>();
    const auto DB = s_.bias ? dbias.as<T>() : std::span<T>();
    if (write == Write::overwrite) {
      std::fill(DW.begin(), DW.end(), T(0));
      std::fill(DB.begin(), DB.end(), T(0));
    }
    each_output([&](std::int64_t n, std::int64_t k, std::int64_t h, std::int64_t w) {
      const T gradient = DY[y_(n, k, h, w)];
      if (s_.bias) DB[static_cast<std::size_t>(k)] += gradient;
      each_tap(h, w, [&](std::int64_t c, std::int64_t r, std::int64_t q, std::int64_t ih, std::int64_t iw) {
        DW[w_(k, c, r, q)] += gradient * X[x_(n, c, ih, iw)];
      });
    });
  }

 private:
  [[nodiscard]] std::size_t w_(std::int64_t k, std::int64_t c, std::int64_t r, std::int64_t q) const {
    return static_cast<std::size_t>(((k * s_.channels + c) * s_.kernel.h + r) * s_.kernel.w + q);
  }

  template <class F>
  void each_output(F&& f) const {
    for (std::int64_t n = 0; n < s_.batch; ++n)
      for (std::int64_t k = 0; k < s_.filters; ++k)
        for (std::int64_t h = 0; h < s_.out_height(); ++h)
          for (std::int64_t w = 0; w < s_.out_width(); ++w)
            f(n, k, h, w);
  }

  /// The inputs under the window of output (h, w) that are not padding.
  template <class F>
  void each_tap(std::int64_t h, std::int64_t w, F&& f) const {
    const std::int64_t top = h * s_.stride.h - s_.padding.h, left = w * s_.stride.w - s_.padding.w;
    for (std::int64_t c = 0; c < s_.channels; ++c)
      for (std::int64_t r = std::max<std::int64_t>(0, -top); r < std::min(s_.kernel.h, s_.height - top); ++r)
        for (std::int64_t q = std::max<std::int64_t>(0, -left); q < std::min(s_.kernel.w, s_.width - left);
             ++q)
          f(c, r, q, top + r, left + q);
  }

  ConvolutionShape s_;
  ImageIndex x_, y_;
};

}  // namespace partita::kernels::reference
