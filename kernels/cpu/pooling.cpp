/// Pooling with own loops. Channels-last windows that do not overlap go through blocks of 16 channels: a
/// block may reach past the pixel's channels into the next ones, whose values are written later; where it
/// would leave the sample it is cut. On ten channels this took pooling from half of a training step of
/// cnn-mnist to a few percent (batch 64, one core).
#include <algorithm>
#include <cstring>

#include "engine.hpp"
#include "lanes.hpp"

namespace partita::kernels::cpu {
namespace {

/// Strides of an image tensor in elements.
struct Strides {
  std::int64_t sample, channel, row, column;
  Strides(std::int64_t c, std::int64_t h, std::int64_t w, Layout layout)
      : sample(c * h * w),
        channel(layout == Layout::nchw ? h * w : 1),
        row(layout == Layout::nchw ? w : w * c),
        column(layout == Layout::nchw ? 1 : c) {}
};

using IntLanes = std::int32_t __attribute__((vector_size(64)));
using ByteLanes = std::uint8_t __attribute__((vector_size(16)));

/// A whole block, or its first `count` values with the rest 0.
template <class V, bool Whole, class T>
V load(const T* from, std::int64_t count) {
  V value{};
  std::memcpy(&value, from, Whole ? sizeof(V) : static_cast<std::size_t>(count) * sizeof(T));
  return value;
}
template <bool Whole, class V, class T>
void store(const V& value, T* to, std::int64_t count) {
  std::memcpy(to, &value, Whole ? sizeof(V) : static_cast<std::size_t>(count) * sizeof(T));
}

class CpuPooling final : public Pooling {
 public:
  CpuPooling(const PoolingShape& s, int threads)
      : s_(s),
        threads_(threads),
        in_(s.channels, s.height, s.width, s.layout),
        out_(s.channels, s.out_height(), s.out_width(), s.layout) {}

  void forward(ConstView x, View y, View winners, Workspace) override {
    const float* X = x.as<float>().data();
    float* Y = y.as<float>().data();
    std::uint8_t* V = s_.kind == PoolingKind::maximum ? winners.as<std::uint8_t>().data() : nullptr;
    if (blocked())
      return each_sample([&](std::int64_t n) {
        forward_blocks(X + n * in_.sample, Y + n * out_.sample, V ? V + n * out_.sample : nullptr);
      });
    each_row([&](std::int64_t from, std::int64_t to) {
      if (V)
        maximum_row(X + from, Y + to, V + to);
      else
        average_row(X + from, Y + to);
    });
  }

  void backward(ConstView dy, ConstView winners, View dx, Workspace) override {
    const float* DY = dy.as<float>().data();
    float* DX = dx.as<float>().data();
    const std::uint8_t* V = s_.kind == PoolingKind::maximum ? winners.as<std::uint8_t>().data() : nullptr;
    if (blocked())
      return each_sample([&](std::int64_t n) {
        backward_blocks(DY + n * out_.sample, V ? V + n * out_.sample : nullptr, DX + n * in_.sample);
      });
    std::memset(DX, 0, static_cast<std::size_t>(dx.bytes().value()));
    each_row(
        [&](std::int64_t from, std::int64_t to) { scatter_row(DY + to, V ? V + to : nullptr, DX + from); });
  }

 private:
  [[nodiscard]] bool blocked() const { return s_.layout == Layout::nhwc && s_.stride == s_.kernel; }

  template <class F>
  void each_sample(F&& f) const {
#pragma omp parallel for num_threads(threads_) if (threads_ > 1)
    for (std::int64_t n = 0; n < s_.batch; ++n)
      f(n);
  }

  void forward_blocks(const float* x, float* y, std::uint8_t* winners) const {
    std::int64_t pixel = 0;
    for (std::int64_t h = 0; h < s_.out_height(); ++h) {
      const float* corner = x + h * s_.stride.h * in_.row;
      for (std::int64_t w = 0; w < s_.out_width(); ++w, ++pixel, corner += s_.stride.w * in_.column) {
        if (!fits(pixel, out_.sample))
          forward_pixel<false, 0>(pixel, corner, y, winners);
        else if (s_.kernel == Extent2(2))
          forward_pixel<true, 2>(pixel, corner, y, winners);
        else
          forward_pixel<true, 0>(pixel, corner, y, winners);
      }
    }
  }

  /// Whether all blocks of a pixel lie inside its sample.
  [[nodiscard]] bool fits(std::int64_t pixel, std::int64_t sample) const {
    return pixel * s_.channels + (s_.channels + width - 1) / width * width <= sample;
  }

  /// `Kernel` is the window's extent where the compiler should know it, else 0.
  template <bool Whole, int Kernel>
  void forward_pixel(std::int64_t pixel, const float* corner, float* y, std::uint8_t* winners) const {
    const std::int32_t rows = Kernel > 0 ? Kernel : static_cast<std::int32_t>(s_.kernel.h);
    const std::int32_t columns = Kernel > 0 ? Kernel : static_cast<std::int32_t>(s_.kernel.w);
    const Lanes least = Lanes{} + floor(), scale = Lanes{} + 1.0F / static_cast<float>(rows * columns);
    for (std::int64_t c = 0; c < s_.channels; c += width) {
      const std::int64_t count = std::min(width, s_.channels - c);
      Lanes best = load<Lanes, Whole>(corner + c, count), sum{};
      IntLanes winner{};
      for (std::int32_t position = 0, r = 0; r < rows; ++r)
        for (std::int32_t q = 0; q < columns; ++q, ++position) {
          const Lanes value = load<Lanes, Whole>(corner + c + r * in_.row + q * in_.column, count);
          sum += value;
          const IntLanes greater = (value > best) | (value != value);  // NaN wins
          best = greater ? value : best;
          winner = greater ? IntLanes{} + position : winner;
        }
      Lanes result = winners ? best : sum * scale;
      result = result < least ? least : result;
      store<Whole>(result, y + pixel * s_.channels + c, count);
      if (winners)
        store<Whole>(__builtin_convertvector(winner, ByteLanes), winners + pixel * s_.channels + c, count);
    }
  }

  /// Every input lies in one window at most, so its gradient is stored, not added, in the order of memory.
  void backward_blocks(const float* dy, const std::uint8_t* winners, float* dx) const {
    const std::int64_t h_end = s_.out_height(), w_end = s_.out_width();
    const bool pairs =
        winners && s_.kernel == Extent2(2) && (s_.channels <= width || s_.channels % width == 0);
    for (std::int64_t h = 0; h < h_end; ++h) {
      if (pairs) {
        backward_pairs(h, dy, winners, dx);
        continue;
      }
      for (std::int64_t r = 0; r < s_.kernel.h; ++r) {
        float* row = dx + (h * s_.kernel.h + r) * in_.row;
        for (std::int64_t w = 0; w < w_end; ++w) {
          const std::int64_t pixel = h * w_end + w,
                             last = (h * s_.kernel.h + r) * s_.width + (w + 1) * s_.kernel.w - 1;
          float* target = row + w * s_.kernel.w * s_.channels;
          if (fits(pixel, out_.sample) && fits(last, in_.sample))
            backward_pixel<true>(pixel, r, dy, winners, target);
          else
            backward_pixel<false>(pixel, r, dy, winners, target);
        }
        std::fill(row + w_end * s_.kernel.w * s_.channels, row + in_.row, 0.0F);
      }
    }
    std::fill(dx + h_end * s_.kernel.h * in_.row, dx + in_.sample, 0.0F);
  }

  /// The same for a row of 2×2 maxima, both rows of a window at once: gradient and winner are loaded once for
  /// four stores. A block of the upper row that would reach into the lower one, which is there already, is
  /// cut.
  void backward_pairs(std::int64_t h, const float* dy, const std::uint8_t* winners, float* dx) const {
    const std::int64_t w_end = s_.out_width(), reach = ceil_divide(s_.channels, width) * width;
    float* const rows[] = {dx + 2 * h * in_.row, dx + (2 * h + 1) * in_.row};
    const std::int64_t ends[] = {in_.row, in_.sample - (2 * h + 1) * in_.row};
    for (std::int64_t w = 0; w < w_end; ++w) {
      const std::int64_t pixel = h * w_end + w, first = 2 * w * s_.channels;
      if (!fits(pixel, out_.sample)) {
        for (std::int64_t r = 0; r < 2; ++r)
          backward_pixel<false>(pixel, r, dy, winners, rows[r] + first);
        continue;
      }
      for (std::int64_t c = 0; c < s_.channels; c += width) {
        const auto at = pixel * s_.channels + c;
        const auto gradient = load<Lanes, true>(dy + at, width);
        const auto winner = __builtin_convertvector((load<ByteLanes, true>(winners + at, width)), IntLanes);
        for (std::int32_t position = 0; position < 4; ++position) {
          const std::int64_t target = first + position % 2 * s_.channels;
          const Lanes value = winner == position ? gradient : Lanes{};
          if (target + reach <= ends[position / 2])
            store<true>(value, rows[position / 2] + target + c, width);
          else
            store<false>(value, rows[position / 2] + target + c, std::min(width, s_.channels - c));
        }
      }
    }
    for (float* row : rows)
      std::fill(row + 2 * w_end * s_.channels, row + in_.row, 0.0F);
  }

  /// Row `r` of one window's gradient.
  template <bool Whole>
  void backward_pixel(std::int64_t pixel, std::int64_t r, const float* dy, const std::uint8_t* winners,
                      float* dx) const {
    const Lanes scale = Lanes{} + 1.0F / static_cast<float>(s_.kernel.area());
    for (std::int64_t q = 0; q < s_.kernel.w; ++q)
      for (std::int64_t c = 0; c < s_.channels; c += width) {
        const std::int64_t at = pixel * s_.channels + c, count = std::min(width, s_.channels - c);
        const Lanes gradient = load<Lanes, Whole>(dy + at, count);
        Lanes value = gradient * scale;
        if (winners) {
          const auto winner = __builtin_convertvector(load<ByteLanes, Whole>(winners + at, count), IntLanes);
          value = winner == static_cast<std::int32_t>(r * s_.kernel.w + q) ? gradient : Lanes{};
        }
        store<Whole>(value, dx + q * s_.channels + c, count);
      }
  }

  /// Calls f(offset of the window row in the input, offset of the output row) for each output row; with
  /// channels outermost, for each channel too. Rows of one sample stay on one thread, so that overlapping
  /// windows do not race.
  template <class F>
  void each_row(F&& f) const {
    const bool planes = s_.layout == Layout::nchw;
#pragma omp parallel for num_threads(threads_) if (threads_ > 1)
    for (std::int64_t n = 0; n < s_.batch; ++n)
      for (std::int64_t c = 0; c < (planes ? s_.channels : 1); ++c)
        for (std::int64_t h = 0; h < s_.out_height(); ++h)
          f(n * in_.sample + c * in_.channel + h * s_.stride.h * in_.row,
            n * out_.sample + c * out_.channel + h * out_.row);
  }
  /// Channels that lie side by side.
  [[nodiscard]] std::int64_t lanes() const { return s_.layout == Layout::nchw ? 1 : s_.channels; }
  [[nodiscard]] float floor() const { return s_.epilogue == Epilogue::relu ? 0.0F : -__builtin_inff(); }

  void maximum_row(const float* __restrict x, float* __restrict y, std::uint8_t* __restrict winners) const {
    const std::int64_t c_end = lanes();
    const float least = floor();
    for (std::int64_t w = 0; w < s_.out_width(); ++w) {
      const float* window = x + w * s_.stride.w * in_.column;
      float* out = y + w * out_.column;
      std::uint8_t* win = winners + w * out_.column;
      for (std::int64_t i = 0; i < c_end; ++i)
        out[i] = window[i], win[i] = 0;
      for (std::int64_t r = 0; r < s_.kernel.h; ++r)
        for (std::int64_t q = 0; q < s_.kernel.w; ++q) {
          const float* tap = window + r * in_.row + q * in_.column;
          for (std::int64_t i = 0; i < c_end; ++i)
            if (tap[i] > out[i] || tap[i] != tap[i])
              out[i] = tap[i], win[i] = static_cast<std::uint8_t>(r * s_.kernel.w + q);
        }
      for (std::int64_t i = 0; i < c_end; ++i)
        out[i] = out[i] < least ? least : out[i];
    }
  }

  void average_row(const float* __restrict x, float* __restrict y) const {
    const float scale = 1.0F / static_cast<float>(s_.kernel.area()), least = floor();
    for (std::int64_t w = 0; w < s_.out_width(); ++w) {
      float* out = y + w * out_.column;
      for (std::int64_t i = 0; i < lanes(); ++i)
        out[i] = 0;
      for (std::int64_t r = 0; r < s_.kernel.h; ++r)
        for (std::int64_t q = 0; q < s_.kernel.w; ++q) {
          const float* tap = x + w * s_.stride.w * in_.column + r * in_.row + q * in_.column;
          for (std::int64_t i = 0; i < lanes(); ++i)
            out[i] += tap[i];
        }
      for (std::int64_t i = 0; i < lanes(); ++i)
        out[i] = out[i] * scale < least ? least : out[i] * scale;
    }
  }

  void scatter_row(const float* __restrict dy, const std::uint8_t* __restrict winners,
                   float* __restrict dx) const {
    const float scale = 1.0F / static_cast<float>(s_.kernel.area());
    for (std::int64_t w = 0; w < s_.out_width(); ++w) {
      const float* gradient = dy + w * out_.column;
      const std::uint8_t* win = winners ? winners + w * out_.column : nullptr;
      float* window = dx + w * s_.stride.w * in_.column;
      for (std::int64_t r = 0; r < s_.kernel.h; ++r)
        for (std::int64_t q = 0; q < s_.kernel.w; ++q) {
          float* tap = window + r * in_.row + q * in_.column;
          const int position = static_cast<int>(r * s_.kernel.w + q);
          if (win)
            for (std::int64_t i = 0; i < lanes(); ++i)
              tap[i] += win[i] == position ? gradient[i] : 0.0F;
          else
            for (std::int64_t i = 0; i < lanes(); ++i)
              tap[i] += gradient[i] * scale;
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
