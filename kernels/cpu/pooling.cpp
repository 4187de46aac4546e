/// Pooling with own loops, channels innermost: the library's primitives spend more on small images than they compute.
#include <algorithm>
#include <cstring>

#include "engine.hpp"

namespace partita::kernels::cpu {
namespace {

/// Strides of an image tensor in elements.
struct Strides {
  std::int64_t sample, channel, row, column;
  Strides(std::int64_t c, std::int64_t h, std::int64_t w, Layout layout)
      : sample(c * h * w), channel(layout == Layout::nchw ? h * w : 1), row(layout == Layout::nchw ? w : w * c),
        column(layout == Layout::nchw ? 1 : c) {}
};

class CpuPooling final : public Pooling {
 public:
  CpuPooling(const PoolingShape& s, int threads)
      : s_(s), threads_(threads), in_(s.channels, s.height, s.width, s.layout),
        out_(s.channels, s.out_height(), s.out_width(), s.layout) {}

  void forward(ConstView x, View y, View winners, Workspace) override {
    const float* X = x.as<float>().data();
    float* Y = y.as<float>().data();
    std::uint8_t* V = s_.kind == PoolingKind::maximum ? winners.as<std::uint8_t>().data() : nullptr;
    each_row([&](std::int64_t from, std::int64_t to) {
      if (V) maximum_row(X + from, Y + to, V + to);
      else average_row(X + from, Y + to);
    });
  }

  void backward(ConstView dy, ConstView winners, View dx, Workspace) override {
    const float* DY = dy.as<float>().data();
    float* DX = dx.as<float>().data();
    const std::uint8_t* V = s_.kind == PoolingKind::maximum ? winners.as<std::uint8_t>().data() : nullptr;
    std::memset(DX, 0, static_cast<std::size_t>(dx.bytes().value()));
    each_row([&](std::int64_t from, std::int64_t to) { scatter_row(DY + to, V ? V + to : nullptr, DX + from); });
  }

 private:
  /// Calls f(offset of the window row in the input, offset of the output row) for each output row; with channels
  /// outermost, for each channel too. Rows of one sample stay on one thread, so that overlapping windows do not race.
  template <class F>
  void each_row(F&& f) const {
    const bool planes = s_.layout == Layout::nchw;
#pragma omp parallel for num_threads(threads_) if (threads_ > 1)
    for (std::int64_t n = 0; n < s_.batch; ++n)
      for (std::int64_t c = 0; c < (planes ? s_.channels : 1); ++c)
        for (std::int64_t h = 0; h < s_.out_height(); ++h)
          f(n * in_.sample + c * in_.channel + h * s_.stride * in_.row, n * out_.sample + c * out_.channel + h * out_.row);
  }
  /// Channels that lie side by side.
  [[nodiscard]] std::int64_t lanes() const { return s_.layout == Layout::nchw ? 1 : s_.channels; }
  [[nodiscard]] float floor() const { return s_.epilogue == Epilogue::relu ? 0.0F : -__builtin_inff(); }

  void maximum_row(const float* __restrict x, float* __restrict y, std::uint8_t* __restrict winners) const {
    const std::int64_t c_end = lanes();
    const float least = floor();
    for (std::int64_t w = 0; w < s_.out_width(); ++w) {
      const float* window = x + w * s_.stride * in_.column;
      float* out = y + w * out_.column;
      std::uint8_t* win = winners + w * out_.column;
      if (s_.kernel == 2) {
        const float *a = window, *b = a + in_.column, *c = a + in_.row, *d = c + in_.column;
        for (std::int64_t i = 0; i < c_end; ++i) {
          const bool right = b[i] > a[i], lower_right = d[i] > c[i];
          const float top = right ? b[i] : a[i], bottom = lower_right ? d[i] : c[i];
          const bool lower = bottom > top;
          const float best = lower ? bottom : top;
          out[i] = best > least ? best : least;
          win[i] = static_cast<std::uint8_t>(lower ? (lower_right ? 3 : 2) : (right ? 1 : 0));
        }
        continue;
      }
      for (std::int64_t i = 0; i < c_end; ++i) out[i] = window[i], win[i] = 0;
      for (std::int64_t r = 0; r < s_.kernel; ++r)
        for (std::int64_t q = 0; q < s_.kernel; ++q) {
          const float* tap = window + r * in_.row + q * in_.column;
          for (std::int64_t i = 0; i < c_end; ++i)
            if (tap[i] > out[i]) out[i] = tap[i], win[i] = static_cast<std::uint8_t>(r * s_.kernel + q);
        }
      for (std::int64_t i = 0; i < c_end; ++i) out[i] = out[i] > least ? out[i] : least;
    }
  }

  void average_row(const float* __restrict x, float* __restrict y) const {
    const float scale = 1.0F / static_cast<float>(s_.kernel * s_.kernel), least = floor();
    for (std::int64_t w = 0; w < s_.out_width(); ++w) {
      float* out = y + w * out_.column;
      for (std::int64_t i = 0; i < lanes(); ++i) out[i] = 0;
      for (std::int64_t r = 0; r < s_.kernel; ++r)
        for (std::int64_t q = 0; q < s_.kernel; ++q) {
          const float* tap = x + w * s_.stride * in_.column + r * in_.row + q * in_.column;
          for (std::int64_t i = 0; i < lanes(); ++i) out[i] += tap[i];
        }
      for (std::int64_t i = 0; i < lanes(); ++i) out[i] = std::max(out[i] * scale, least);
    }
  }

  void scatter_row(const float* __restrict dy, const std::uint8_t* __restrict winners, float* __restrict dx) const {
    const float scale = 1.0F / static_cast<float>(s_.kernel * s_.kernel);
    for (std::int64_t w = 0; w < s_.out_width(); ++w) {
      const float* gradient = dy + w * out_.column;
      const std::uint8_t* win = winners ? winners + w * out_.column : nullptr;
      float* window = dx + w * s_.stride * in_.column;
      for (std::int64_t r = 0; r < s_.kernel; ++r)
        for (std::int64_t q = 0; q < s_.kernel; ++q) {
          float* tap = window + r * in_.row + q * in_.column;
          const int position = static_cast<int>(r * s_.kernel + q);
          if (win)
            for (std::int64_t i = 0; i < lanes(); ++i) tap[i] += win[i] == position ? gradient[i] : 0.0F;
          else
            for (std::int64_t i = 0; i < lanes(); ++i) tap[i] += gradient[i] * scale;
        }
    }
  }

  PoolingShape s_;
  int threads_;
  Strides in_, out_;
};

}  // namespace

std::unique_ptr<Pooling> plan_pooling(const PoolingShape& shape, int threads) {
  return std::make_unique<CpuPooling>(shape, threads);
}

}  // namespace partita::kernels::cpu
