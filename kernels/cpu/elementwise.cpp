/// The loops: contiguous arrays that do not overlap, in memory order whatever the layout. Losses are added up
/// in double.
#include "elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace partita::kernels::cpu {

void relu(std::span<const float> x, std::span<float> y) {
  for (std::size_t i = 0; i < y.size(); ++i)
    y[i] = x[i] < 0 ? 0.0F : x[i];  // NaN stays NaN, so that divergence is seen
}

void mask_by_positive(std::span<const float> y, std::span<const float> dy, std::span<float> dx) {
  for (std::size_t i = 0; i < dx.size(); ++i)
    dx[i] = y[i] > 0 ? dy[i] : 0.0F;
}

void tanh_gradient(std::span<const float> y, std::span<const float> dy, std::span<float> dx) {
  for (std::size_t i = 0; i < dx.size(); ++i)
    dx[i] = dy[i] * (1.0F - y[i] * y[i]);
}

void sum_rows(std::int64_t rows, std::int64_t columns, std::span<const float> x, std::span<float> b,
              Write write) {
  if (write == Write::overwrite) std::fill(b.begin(), b.end(), 0.0F);
  float* __restrict sums = b.data();
  // Narrow rows are summed sixteen at a time into one long row, which vectorises whatever the number of
  // columns.
  constexpr std::int64_t narrow = 64, together = 16;
  std::int64_t done = 0;
  if (columns < narrow && rows >= together) {
    float partial[narrow * together] = {};
    const std::int64_t length = columns * together;
    for (; done + together <= rows; done += together) {
      const float* __restrict block = x.data() + done * columns;
      for (std::int64_t i = 0; i < length; ++i)
        partial[i] += block[i];
    }
    for (std::int64_t r = 0; r < together; ++r)
      for (std::int64_t j = 0; j < columns; ++j)
        sums[j] += partial[r * columns + j];
  }
  for (; done < rows; ++done) {
    const float* __restrict row = x.data() + done * columns;
    for (std::int64_t j = 0; j < columns; ++j)
      sums[j] += row[j];
  }
}

void dropout(const DropoutShape& s, RandomStream stream, Samples first, std::span<const float> x,
             std::span<float> y) {
  const float scale = static_cast<float>(1.0 / (1.0 - s.probability));
  const std::int64_t pixels = s.height * s.width, plane = s.full_plane();
  // In memory order: channels of pixels, or pixels of channels. A flat tensor is one pixel either way.
  const bool planes = s.layout == Layout::nchw && pixels > 1;
  const std::int64_t outer = planes ? s.channels : pixels, inner = planes ? pixels : s.channels;
  const std::int64_t outer_step = planes ? plane : 1, inner_step = planes ? 1 : plane;
  std::size_t at = 0;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const std::int64_t origin =
        (first.value() + n) * s.full_elements() + s.first_channel * plane + s.first_row * s.width;
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t i = 0; i < inner; ++i, ++at) {
        const auto logical = static_cast<std::uint64_t>(origin + o * outer_step + i * inner_step);
        y[at] = random_uniform(stream, logical) >= s.probability ? x[at] * scale : 0.0F;
      }
  }
}

void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, std::span<const float> x,
             std::span<float> y) {
  if (y.empty()) return;
  const std::int64_t channels = image[0], pixels = image[1] * image[2];
  if (from == to || channels == 1 || pixels == 1)
    return static_cast<void>(std::memcpy(y.data(), x.data(), y.size_bytes()));
  // A transposition of [rows, columns] per sample.
  const std::int64_t rows = from == Layout::nchw ? channels : pixels,
                     columns = from == Layout::nchw ? pixels : channels;
  for (std::int64_t n = 0; n < batch; ++n) {
    const float* __restrict in = x.data() + n * rows * columns;
    float* __restrict out = y.data() + n * rows * columns;
    for (std::int64_t c = 0; c < columns; ++c)
      for (std::int64_t r = 0; r < rows; ++r)
        out[c * rows + r] = in[r * columns + c];
  }
}

LossSums cross_entropy(std::int64_t batch, std::int64_t classes, std::span<const float> logits,
                       std::span<const std::int32_t> labels, double gradient_scale,
                       std::span<float> dlogits) {
  LossSums sums;
  const auto width = static_cast<std::size_t>(classes);
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i) {
    const auto row = logits.subspan(i * width, width);
    const auto label = static_cast<std::size_t>(labels[i]);
    const auto largest = std::max_element(row.begin(), row.end());
    float* out = dlogits.empty() ? nullptr : dlogits.data() + i * width;
    double total = 0;
    for (std::size_t j = 0; j < width; ++j) {
      const float e = std::exp(row[j] - *largest);
      if (out) out[j] = e;
      total += static_cast<double>(e);
    }
    sums.loss += std::log(total) - static_cast<double>(row[label] - *largest);
    sums.correct += static_cast<std::size_t>(largest - row.begin()) == label;
    if (!out) continue;
    const float scale = static_cast<float>(gradient_scale / total);
    for (std::size_t j = 0; j < width; ++j)
      out[j] *= scale;
    out[label] -= static_cast<float>(gradient_scale);
  }
  return sums;
}

LossSums mean_squared_error(std::int64_t features, std::span<const float> output,
                            std::span<const float> target, double gradient_scale, std::span<float> doutput) {
  double squares = 0;
  for (std::size_t i = 0; i < output.size(); ++i) {
    const double difference = static_cast<double>(output[i]) - static_cast<double>(target[i]);
    squares += difference * difference;
  }
  const float scale = static_cast<float>(2.0 / static_cast<double>(features) * gradient_scale);
  for (std::size_t i = 0; i < doutput.size(); ++i)
    doutput[i] = scale * (output[i] - target[i]);
  return {.loss = squares / static_cast<double>(features)};
}

}  // namespace partita::kernels::cpu
