/// Batch normalisation: loops over *long rows*, as many pixels as make a row of channels long enough for
/// vectors whatever their number, each lane of it one channel's; with channels outermost, over planes.
///
/// Sums are kept by lane and by thread and added in a fixed order. Where results are computed from x, a
/// channel is a few numbers in float32, made from doubles, and they are applied to x − centre, the centre
/// being µ in float32: near µ this difference is exact, however far from 0 the channel lies, while
/// weight/√(σ² + ε)·x would drown in its rounding what tells the values apart.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine.hpp"
#include "lanes.hpp"

namespace partita::kernels::cpu {
namespace {

/// Elements of a long row: pixels whose channels fill whole vectors, about 256 of them where there are
/// enough. From `wide` channels on a row is long enough by itself.
std::int64_t long_row(std::int64_t columns, std::int64_t rows) {
  constexpr std::int64_t wide = 128, long_enough = 256;
  if (columns == 0 || columns >= wide) return columns;
  const std::int64_t step = width / std::gcd(columns, width);
  const std::int64_t together = std::min(long_enough / columns, rows) / step * step;
  return columns * std::max(together, step);
}

struct Two {
  double first, second;
};

/// first[j] and second[j] += what f(i) gives for elements i of lane j, which are `length` apart. Four
/// quarters are walked together: sums are loaded and stored once for four values, while each quarter is read
/// in the order of memory, which prefetchers follow.
template <class F>
void add_to_lanes(F f, std::int64_t at, std::int64_t count, std::int64_t length, double* __restrict first,
                  double* __restrict second) {
  if (count == 0) return;
  const std::int64_t end = at + count, quarter = count / length / 4 * length;
  for (const std::int64_t stop = at + quarter; at < stop; at += length)
    for (std::int64_t j = 0; j < length; ++j) {
      const std::int64_t i = at + j;
      const Two a = f(i), b = f(i + quarter), c = f(i + 2 * quarter), d = f(i + 3 * quarter);
      first[j] += (a.first + b.first) + (c.first + d.first);
      second[j] += (a.second + b.second) + (c.second + d.second);
    }
  for (at += 3 * quarter; at < end; at += length) {
    const std::int64_t lanes = std::min(length, end - at);
    for (std::int64_t j = 0; j < lanes; ++j) {
      const Two value = f(at + j);
      first[j] += value.first;
      second[j] += value.second;
    }
  }
}

/// What the elements of a lane are computed with; which of them, is each pass's own.
struct Factors {
  float *centre, *scale, *shift, *slope;
};

class CpuBatchNorm final : public BatchNorm {
 public:
  CpuBatchNorm(const BatchNormShape& s, int threads)
      : s_(s),
        threads_(threads),
        pixels_(s.height * s.width),
        planes_(s.layout == Layout::nchw && pixels_ > 1),
        length_(planes_ ? s.channels : long_row(s.channels, s.batch * pixels_)),
        lanes_(ceil_divide(length_, width) * width) {}

  /// Two sums of each lane by thread, or the factors of all lanes.
  [[nodiscard]] Bytes workspace() const override {
    static_assert(2 * sizeof(double) == sizeof(Factors) / sizeof(float*) * sizeof(float));
    return Bytes(threads_ * 2 * lanes_ * static_cast<std::int64_t>(sizeof(double)));
  }

  void statistics(ConstView x, View sums, Workspace workspace) override {
    const float* X = x.as<float>().data();
    add_up(sums, workspace, [X](std::int64_t i) {
      const auto value = static_cast<double>(X[i]);
      return Two{value, value * value};
    });
  }

  void update_running(ConstView sums, std::int64_t count, View running_mean, View running_variance) override {
    const double* S = sums.as<double>().data();
    float* const mean = running_mean.as<float>().data();
    float* const variance = running_variance.as<float>().data();
    const double n = static_cast<double>(count), unbiased = count > 1 ? n / (n - 1) : 1;
    const auto moved = [&](float value, double towards) {
      return static_cast<float>((1 - s_.momentum) * static_cast<double>(value) + s_.momentum * towards);
    };
    for (std::int64_t c = 0; c < s_.channels; ++c) {
      const double mu = S[c] / n, square = S[s_.channels + c] / n - mu * mu;
      const float to_mean = moved(mean[c], mu),
                  to_variance = moved(variance[c], (square < 0 ? 0 : square) * unbiased);
      if (!std::isfinite(to_mean) || !std::isfinite(to_variance)) continue;  // N = 0: none is
      mean[c] = to_mean;
      variance[c] = to_variance;
    }
  }

  /// y = (x − centre)·scale + shift.
  void forward(ConstView x, const BatchMoments& batch, ConstView weight, ConstView bias, View y,
               Workspace workspace) override {
    const float* X = x.as<float>().data();
    const Factors f = factors(workspace);
    set(f.scale, weight, 1);
    set(f.shift, bias, 0);
    each_channel(batch, [f](std::int64_t c, double mean, double inverse) {
      const auto centre = static_cast<float>(mean);
      const double scale = static_cast<double>(f.scale[c]) * inverse;
      f.centre[c] = centre;
      f.scale[c] = static_cast<float>(scale);
      f.shift[c] =
          static_cast<float>(static_cast<double>(f.shift[c]) + scale * (static_cast<double>(centre) - mean));
    });
    const auto value = [X, f](std::int64_t i, std::int64_t lane) {
      return (X[i] - f.centre[lane]) * f.scale[lane] + f.shift[lane];
    };
    if (s_.epilogue != Epilogue::relu) return map(y, f, value);
    map(y, f, [value](std::int64_t i, std::int64_t lane) {
      const float v = value(i, lane);
      return v < 0 ? 0.0F : v;  // NaN stays NaN
    });
  }

  /// Σ dy·x̂ = (Σ dy·x − µ·Σ dy)/√(σ² + ε). For a channel far from 0 this is a small difference of large sums.
  /// In double its relative error grows as |µ|/σ, slower than that of σ², which grows as (µ/σ)².
  void gradient_sums(ConstView x, ConstView dy, const BatchMoments& batch, View sums,
                     Workspace workspace) override {
    const float *X = x.as<float>().data(), *DY = dy.as<float>().data();
    add_up(sums, workspace, [X, DY](std::int64_t i) {
      const auto gradient = static_cast<double>(DY[i]);
      return Two{gradient, gradient * static_cast<double>(X[i])};
    });
    double* const first = sums.as<double>().data();
    double* const second = first + s_.channels;
    each_channel(batch, [first, second](std::int64_t c, double mean, double inverse) {
      second[c] = (second[c] - mean * first[c]) * inverse;
    });
  }

  void backward_parameters(ConstView gradient_sums, View dweight, View dbias, Write write) override {
    const double* S = gradient_sums.as<double>().data();
    const auto put = [&](const double* from, View to) {
      if (to.empty()) return;
      float* const gradient = to.as<float>().data();
      for (std::int64_t c = 0; c < s_.channels; ++c) {
        const auto sum = static_cast<float>(from[c]);
        gradient[c] = write == Write::accumulate ? gradient[c] + sum : sum;
      }
    };
    put(S, dbias);
    put(S + s_.channels, dweight);
  }

  /// dx = (dy − (slope·(x − centre) + shift))·scale; with running moments dy·scale.
  void backward_data(ConstView x, ConstView dy, const BatchMoments& batch, ConstView gradient_sums,
                     ConstView weight, View dx, Workspace workspace) override {
    const float *X = x.as<float>().data(), *DY = dy.as<float>().data();
    const Factors f = factors(workspace);
    set(f.scale, weight, 1);
    if (batch.count == 0) {
      each_channel(batch, [f](std::int64_t c, double, double inverse) {
        f.scale[c] = static_cast<float>(static_cast<double>(f.scale[c]) * inverse);
      });
      return map(dx, f, [DY, f](std::int64_t i, std::int64_t lane) { return DY[i] * f.scale[lane]; });
    }
    const double* const first = gradient_sums.as<double>().data();
    const double* const second = first + s_.channels;
    const double n = static_cast<double>(batch.count);
    each_channel(batch, [=](std::int64_t c, double mean, double inverse) {
      const auto centre = static_cast<float>(mean);
      const double slope = second[c] / n * inverse;
      f.centre[c] = centre;
      f.scale[c] = static_cast<float>(static_cast<double>(f.scale[c]) * inverse);
      f.shift[c] = static_cast<float>(first[c] / n + slope * (static_cast<double>(centre) - mean));
      f.slope[c] = static_cast<float>(slope);
    });
    map(dx, f, [X, DY, f](std::int64_t i, std::int64_t lane) {
      return (DY[i] - (f.slope[lane] * (X[i] - f.centre[lane]) + f.shift[lane])) * f.scale[lane];
    });
  }

 private:
  /// Calls f(c, µ, 1/√(σ² + ε)) for each channel c.
  template <class F>
  void each_channel(const BatchMoments& m, F f) const {
    const double epsilon = s_.epsilon, n = static_cast<double>(m.count);
    if (m.count == 0) {
      const float *mean = m.running_mean.as<float>().data(),
                  *variance = m.running_variance.as<float>().data();
#pragma omp simd
      for (std::int64_t c = 0; c < s_.channels; ++c)
        f(c, static_cast<double>(mean[c]), 1 / std::sqrt(static_cast<double>(variance[c]) + epsilon));
      return;
    }
    const double *sum = m.sums.as<double>().data(), *squares = sum + s_.channels;
#pragma omp simd
    for (std::int64_t c = 0; c < s_.channels; ++c) {
      const double mean = sum[c] / n, variance = squares[c] / n - mean * mean;
      f(c, mean, 1 / std::sqrt((variance < 0 ? 0 : variance) + epsilon));  // NaN stays NaN
    }
  }

  [[nodiscard]] Factors factors(Workspace workspace) const {
    auto* const all = reinterpret_cast<float*>(workspace.data());
    return {all, all + lanes_, all + 2 * lanes_, all + 3 * lanes_};
  }
  /// factor = values [channels], or one value where there are none.
  void set(float* factor, ConstView values, float otherwise) const {
    if (values.empty())
      std::fill(factor, factor + s_.channels, otherwise);
    else
      std::copy_n(values.as<float>().data(), s_.channels, factor);
  }

  /// Calls f(t) for each thread t.
  template <class F>
  void each_thread(F f) const {
#pragma omp parallel for num_threads(threads_) schedule(static) if (threads_ > 1)
    for (std::int64_t t = 0; t < threads_; ++t)
      f(t);
  }
  /// Thread t's share of n: [cut(n, t), cut(n, t + 1)).
  [[nodiscard]] std::int64_t cut(std::int64_t n, std::int64_t t) const { return n * t / threads_; }

  /// Calls plane(channel, its first element) for each of thread t's planes, or rows(first, end) of all its
  /// elements, which begin with a pixel.
  template <class Plane, class Rows>
  void walk(std::int64_t t, Plane plane, Rows rows) const {
    if (!planes_)
      return rows(cut(s_.batch * pixels_, t) * s_.channels, cut(s_.batch * pixels_, t + 1) * s_.channels);
    for (std::int64_t p = cut(s_.batch * s_.channels, t); p < cut(s_.batch * s_.channels, t + 1); ++p)
      plane(p % s_.channels, p * pixels_);
  }

  /// sums = the two sums of what f(i) gives for the elements i of each channel.
  template <class F>
  void add_up(View sums, Workspace workspace, F f) const {
    auto* const partial = reinterpret_cast<double*>(workspace.data());
    each_thread([&](std::int64_t t) {
      double* const first = partial + t * 2 * lanes_;
      double* const second = first + lanes_;
      std::fill(first, first + 2 * lanes_, 0.0);
      walk(
          t,
          [&](std::int64_t c, std::int64_t at) {
            double one[width] = {}, two[width] = {};
            add_to_lanes(f, at, pixels_, width, one, two);
            first[c] += std::accumulate(one, one + width, 0.0);
            second[c] += std::accumulate(two, two + width, 0.0);
          },
          [&](std::int64_t at, std::int64_t end) { add_to_lanes(f, at, end - at, length_, first, second); });
    });
    double* const total = sums.as<double>().data();
    std::fill(total, total + 2 * s_.channels, 0.0);
    for (std::int64_t part = 0; part < 2 * threads_; ++part)
      for (std::int64_t lane = 0; lane < length_; lane += s_.channels)
        for (std::int64_t c = 0; c < s_.channels; ++c)
          total[part % 2 * s_.channels + c] += partial[part * lanes_ + lane + c];
  }

  /// out[i] = value(i, lane of i) for all elements, once the factors of each channel are those of all its
  /// lanes.
  template <class Value>
  void map(View out, const Factors& f, Value value) const {
    for (float* const factor : {f.centre, f.scale, f.shift, f.slope})
      for (std::int64_t lane = s_.channels; lane < length_; ++lane)
        factor[lane] = factor[lane - s_.channels];
    float* const to = out.as<float>().data();
    each_thread([&](std::int64_t t) {
      walk(
          t,
          [&](std::int64_t c, std::int64_t at) {
#pragma omp simd
            for (std::int64_t i = at; i < at + pixels_; ++i)
              to[i] = value(i, c);
          },
          [&](std::int64_t at, std::int64_t end) {
            for (; at < end; at += length_) {
              const std::int64_t lanes = std::min(length_, end - at);
#pragma omp simd
              for (std::int64_t j = 0; j < lanes; ++j)
                to[at + j] = value(at + j, j);
            }
          });
    });
  }

  BatchNormShape s_;
  std::int64_t threads_;
  std::int64_t pixels_;
  bool planes_;          ///< each channel of a sample is a plane of its own
  std::int64_t length_;  ///< lanes of a long row, each that of a channel: the channels, several times over
  std::int64_t lanes_;   ///< as many with room to the next vector
};

}  // namespace

std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape& s, int threads) {
  return std::make_unique<CpuBatchNorm>(s, threads);
}

}  // namespace partita::kernels::cpu
