/// Pooling as its definition. The maximum's first occurrence in row-major order wins, as in PyTorch.
#pragma once

#include <algorithm>

#include "image.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

template <class T>
class ReferencePooling final : public Pooling {
 public:
  explicit ReferencePooling(const PoolingShape& s)
      : s_(s),
        x_{s.channels, s.height, s.width, s.layout},
        y_{s.channels, s.out_height(), s.out_width(), s.layout} {}

  void forward(ConstView x, View y, View winners, Workspace) override {
    const auto X = x.as<T>();
    const auto Y = y.as<T>();
    const bool maximum = s_.kind == PoolingKind::maximum;
    each_output([&](std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
      T best = X[x_(n, c, h * s_.stride.h, w * s_.stride.w)], sum = 0;
      std::int64_t winner = 0;
      for (std::int64_t r = 0; r < s_.kernel.h; ++r)
        for (std::int64_t q = 0; q < s_.kernel.w; ++q) {
          const T value = X[x_(n, c, h * s_.stride.h + r, w * s_.stride.w + q)];
          sum += value;
          if (value > best || value != value) best = value, winner = r * s_.kernel.w + q;
        }
      T result = maximum ? best : sum / static_cast<T>(s_.kernel.area());
      if (s_.epilogue == Epilogue::relu && result < T(0)) result = 0;
      const auto at = y_(n, c, h, w);
      Y[at] = result;
      if (maximum) winners.as<std::uint8_t>()[at] = static_cast<std::uint8_t>(winner);
    });
  }

  void backward(ConstView dy, ConstView winners, View dx, Workspace) override {
    const auto DY = dy.as<T>();
    const auto DX = dx.as<T>();
    std::fill(DX.begin(), DX.end(), T(0));
    each_output([&](std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
      const auto at = y_(n, c, h, w);
      if (s_.kind == PoolingKind::maximum) {
        const std::int64_t winner = winners.as<std::uint8_t>()[at];
        DX[x_(n, c, h * s_.stride.h + winner / s_.kernel.w, w * s_.stride.w + winner % s_.kernel.w)] +=
            DY[at];
        return;
      }
      const T part = DY[at] / static_cast<T>(s_.kernel.area());
      for (std::int64_t r = 0; r < s_.kernel.h; ++r)
        for (std::int64_t q = 0; q < s_.kernel.w; ++q)
          DX[x_(n, c, h * s_.stride.h + r, w * s_.stride.w + q)] += part;
    });
  }

 private:
  template <class F>
  void each_output(F&& f) const {
    for (std::int64_t n = 0; n < s_.batch; ++n)
      for (std::int64_t c = 0; c < s_.channels; ++c)
        for (std::int64_t h = 0; h < s_.out_height(); ++h)
          for (std::int64_t w = 0; w < s_.out_width(); ++w)
            f(n, c, h, w);
  }

  PoolingShape s_;
  ImageIndex x_, y_;
};

}  // namespace partita::kernels::reference
