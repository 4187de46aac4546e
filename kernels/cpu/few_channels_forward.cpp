/// Forward with filters in the lanes: a block of neighbouring output pixels stays in registers while the
/// window's values are broadcast to it one after the other.
#include <algorithm>

#include "few_channels.hpp"
#include "lanes.hpp"

namespace partita::kernels::cpu {
namespace {

static_assert(width == own_loops::lanes);

/// The window's rows in elements: `row` contiguous values each, `rows` of them, `next` apart.
struct Window {
  std::int64_t rows, row, next;
  std::int64_t pixel;    ///< from one output pixel's window to the next one's
  std::int64_t filters;  ///< values of an output pixel
};

/// P neighbouring pixels of V·16 filters. Every pixel's block is stored whole: it reaches into the next
/// pixel, which is stored later; `room` values remain in the sample, and only the last pixels must be cut.
template <int P, int V, bool Relu>
void pixels(const float* x, const float* packed, const Window& w, float* y, std::int64_t room) {
  Lanes sum[P * V];
#pragma GCC unroll 16
  for (int i = 0; i < P * V; ++i)
    sum[i] = load(packed + i % V * width);
  const float* weight = packed + V * width;
  for (std::int64_t r = 0; r < w.rows; ++r, x += w.next)
    for (std::int64_t t = 0; t < w.row; ++t, weight += V * width) {
      Lanes value[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        value[v] = load(weight + v * width);
#pragma GCC unroll 12
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          sum[p * V + v] += value[v] * x[p * w.pixel + t];
    }
#pragma GCC unroll 12
  for (int p = 0; p < P; ++p, y += w.filters, room -= w.filters) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      Lanes value = sum[p * V + v];
      if constexpr (Relu) value = value < 0 ? Lanes{} : value;  // NaN stays
      if (room >= (v + 1) * width)
        store(value, y + v * width);
      else
        std::memcpy(y + v * width, &value,
                    static_cast<std::size_t>(std::max<std::int64_t>(0, room - v * width)) * sizeof(float));
    }
  }
}

/// One sample: rows in wide blocks, narrow ones and single pixels.
template <int V, bool Relu>
void sample(const ConvolutionShape& s, const float* x, const float* packed, float* y) {
  const Window w{.rows = s.kernel.h,
                 .row = s.kernel.w * s.channels,
                 .next = s.width * s.channels,
                 .pixel = s.channels * s.stride.w,
                 .filters = s.filters};
  std::int64_t room = s.out_height() * s.out_width() * s.filters;
  constexpr int wide = own_loops::wide(V), narrow = own_loops::narrow;
  for (std::int64_t row = 0; row < s.out_height(); ++row) {
    const float* from = x + row * s.stride.h * w.next;
    for (std::int64_t column = 0; column < s.out_width();) {
      const std::int64_t left = s.out_width() - column;
      const std::int64_t count = left >= wide ? wide : left >= narrow ? narrow : 1;
      const float* window = from + column * w.pixel;
      if (count == wide)
        pixels<wide, V, Relu>(window, packed, w, y, room);
      else if (count == narrow)
        pixels<narrow, V, Relu>(window, packed, w, y, room);
      else
        pixels<1, V, Relu>(window, packed, w, y, room);
      column += count;
      y += count * s.filters;
      room -= count * s.filters;
    }
  }
}

}  // namespace

DirectForward::DirectForward(const ConvolutionShape& s, int threads)
    : s_(s), threads_(threads), vectors_(ceil_divide(s.filters, width)) {}

/// The bias and then a block of filters for each value of the window.
std::size_t DirectForward::workspace() const {
  return static_cast<std::size_t>((1 + s_.kernel.h * s_.kernel.w * s_.channels) * vectors_ * width) *
         sizeof(float);
}

void DirectForward::pack(const float* weight, const float* bias, float* packed) const {
  const std::int64_t lanes = vectors_ * width;
  std::memset(packed, 0, workspace());
  if (bias != nullptr) std::copy_n(bias, s_.filters, packed);
  packed += lanes;
  for (std::int64_t k = 0; k < s_.filters; ++k)
    for (std::int64_t c = 0; c < s_.channels; ++c)
      for (std::int64_t i = 0; i < s_.kernel.h; ++i)
        for (std::int64_t j = 0; j < s_.kernel.w; ++j)
          packed[((i * s_.kernel.w + j) * s_.channels + c) * lanes + k] = *weight++;
}

void DirectForward::run(const float* x, const float* weight, const float* bias, float* y,
                        std::byte* workspace) const {
  auto* const packed = reinterpret_cast<float*>(workspace);
  pack(weight, bias, packed);
  const bool relu = s_.epilogue == Epilogue::relu;
  const auto of_sample = vectors_ == 1 ? (relu ? sample<1, true> : sample<1, false>)
                                       : (relu ? sample<2, true> : sample<2, false>);
  const std::int64_t x_sample = s_.height * s_.width * s_.channels,
                     y_sample = s_.out_height() * s_.out_width() * s_.filters;
#pragma omp parallel for num_threads(threads_) schedule(static) if (threads_ > 1)
  for (std::int64_t n = 0; n < s_.batch; ++n)
    of_sample(s_, x + n * x_sample, packed, y + n * y_sample);
}

}  // namespace partita::kernels::cpu
