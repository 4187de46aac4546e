/// A layer of batch normalisation in all its passes against the reference. Each pass takes the reference's
/// sums of the pass before, so that only its own rounding is judged.
#pragma once

#include "check_windows.hpp"

namespace partita::tests {

inline constexpr double single_rounding = std::numeric_limits<float>::epsilon();
inline constexpr double double_rounding = std::numeric_limits<double>::epsilon();

/// Sums by channel [2, channels]: NaN inside, a guard behind.
class Sums {
 public:
  explicit Sums(std::int64_t channels) : n_(static_cast<std::size_t>(2 * channels)), values_(n_ + 8, NAN) {
    std::fill(values_.begin() + static_cast<std::ptrdiff_t>(n_), values_.end(), -7.5);
  }
  [[nodiscard]] View view() { return std::span(values_.data(), n_); }
  [[nodiscard]] ConstView seen() const { return std::span(values_.data(), n_); }
  [[nodiscard]] double operator[](std::size_t i) const { return values_[i]; }
  Sums& operator+=(const Sums& other) {
    for (std::size_t i = 0; i < n_; ++i)
      values_[i] += other.values_[i];
    return *this;
  }
  /// As far from `exact` as two orders of adding up `terms` doubles, whose magnitudes add up to `total`.
  void expect_close(const Sums& exact, std::int64_t terms, const std::vector<double>& total,
                    const std::string& what) const {
    for (std::size_t i = 0; i < n_; ++i)
      EXPECT_LE(std::abs(values_[i] - exact[i]),
                static_cast<double>(terms + 4) * 2 * double_rounding * total[i])
          << what << ": sum " << i << " is " << values_[i] << ", not " << exact[i];
    for (std::size_t i = n_; i < values_.size(); ++i)
      EXPECT_EQ(values_[i], -7.5) << what << " wrote behind its sums";
  }

 private:
  std::size_t n_;
  std::vector<double> values_;
};

/// A layer's inputs. Channel c has the deviation 0.5 + c mod 3 and lies `offset` of them from 0.
struct Layer {
  BatchNormShape s;
  std::int64_t pixels = s.height * s.width, count = s.batch * pixels, elements = count * s.channels;
  Values x{elements}, dy{elements}, weight{s.channels}, bias{s.channels}, mean{s.channels},
      variance{s.channels};
  bool has_weight = true, has_bias = true;

  Layer(const BatchNormShape& shape, double offset) : s(shape) {
    const auto put = [](Values& values, std::size_t i, double value) {
      values.twice[i] = values.single[i] = static_cast<float>(value);
    };
    const auto lie = [&](Values& values, std::size_t i, std::size_t c) {
      put(values, i, (values.twice[i] + offset) * (0.5 + static_cast<double>(c % 3)));
    };
    for (std::size_t i = 0; i < x.twice.size(); ++i)
      lie(x, i, channel(i));
    for (std::size_t c = 0; c < mean.twice.size(); ++c) {
      lie(mean, c, c);
      put(variance, c, 0.1 + std::abs(variance.twice[c]));
    }
  }
  [[nodiscard]] std::size_t channel(std::size_t i) const {
    const auto c = static_cast<std::size_t>(s.channels), of_plane = static_cast<std::size_t>(pixels);
    return s.layout == Layout::nchw ? i / of_plane % c : i % c;
  }
  [[nodiscard]] std::size_t channels() const { return static_cast<std::size_t>(s.channels); }
  [[nodiscard]] ConstView w_f() { return has_weight ? ConstView(weight.f()) : ConstView(); }
  [[nodiscard]] ConstView w_d() { return has_weight ? ConstView(weight.d()) : ConstView(); }
  [[nodiscard]] ConstView b_f() { return has_bias ? ConstView(bias.f()) : ConstView(); }
  [[nodiscard]] ConstView b_d() { return has_bias ? ConstView(bias.d()) : ConstView(); }
  [[nodiscard]] double w(std::size_t c) const { return has_weight ? weight.twice[c] : 1; }
  [[nodiscard]] double b(std::size_t c) const { return has_bias ? bias.twice[c] : 0; }
};

/// µ and σ of a channel as a pass is told, for either precision.
struct Moments {
  Layer& layer;
  const Sums& sums;
  std::int64_t count;  ///< 0: running ones

  [[nodiscard]] BatchMoments f() const {
    if (count > 0) return {.sums = sums.seen(), .count = count};
    return {.running_mean = layer.mean.f(), .running_variance = layer.variance.f()};
  }
  [[nodiscard]] BatchMoments d() const {
    if (count > 0) return {.sums = sums.seen(), .count = count};
    return {.running_mean = layer.mean.d(), .running_variance = layer.variance.d()};
  }
  [[nodiscard]] double mean(std::size_t c) const {
    return count > 0 ? sums[c] / static_cast<double>(count) : layer.mean.twice[c];
  }
  [[nodiscard]] double deviation(std::size_t c) const {
    const double square = count > 0
                              ? sums[layer.channels() + c] / static_cast<double>(count) - mean(c) * mean(c)
                              : layer.variance.twice[c];
    return std::sqrt(std::max(square, 0.0) + layer.s.epsilon);
  }
  /// How many roundings of double 1/√(σ² + ε) is off, relative to itself: Σx²/N and µ² were rounded before
  /// they were subtracted.
  [[nodiscard]] double cancelled(std::size_t c) const {
    const double away = mean(c) / deviation(c);
    return count > 0 ? away * away : 0;
  }
};

/// The largest |x̂| and |dy| of each channel, and what bounds the terms of its sums.
struct Magnitudes {
  std::vector<double> normalised, gradient;
  std::vector<double> statistics, gradient_sums;  ///< [2, channels]
  explicit Magnitudes(const Moments& m)
      : normalised(m.layer.channels()),
        gradient(normalised),
        statistics(2 * normalised.size()),
        gradient_sums(statistics) {
    for (std::size_t i = 0; i < m.layer.x.twice.size(); ++i) {
      const std::size_t c = m.layer.channel(i), second = normalised.size() + c;
      const double x = m.layer.x.twice[i], dy = std::abs(m.layer.dy.twice[i]);
      normalised[c] = std::max(normalised[c], std::abs(x - m.mean(c)) / m.deviation(c));
      gradient[c] = std::max(gradient[c], dy);
      statistics[c] += std::abs(x);
      statistics[second] += x * x;
      gradient_sums[c] += dy;
      gradient_sums[second] +=
          dy * (std::abs(x) + std::abs(m.mean(c)) + std::abs(x - m.mean(c)) * m.cancelled(c)) /
          m.deviation(c);
    }
  }
};

/// The passes that read moments. What float32 rounds is x̂ near 0, its product, and the sum with the bias; and
/// dy and the two means that are taken from it: eight roundings each, of half of ε, of no more than what is
/// added up here. σ is as good as the sums allow.
inline void check_passes(BatchNorm& plan, BatchNorm& reference, const Moments& m, const std::string& what) {
  Layer& in = m.layer;
  const Magnitudes largest(m);
  const auto rounding = [&](std::size_t c) {
    return 4 * single_rounding + 2 * double_rounding * m.cancelled(c);
  };
  Output y(in.elements), dx(in.elements);
  plan.forward(in.x.f(), m.f(), in.w_f(), in.b_f(), y.view(), Scratch(plan));
  reference.forward(in.x.d(), m.d(), in.w_d(), in.b_d(), y.d(), {});
  y.expect_within(
      [&](std::size_t i) {
        const std::size_t c = in.channel(i);
        return rounding(c) * (std::abs(in.w(c)) * largest.normalised[c] + std::abs(in.b(c)));
      },
      what + " forward");
  Sums sums(in.s.channels), exact(in.s.channels);
  plan.gradient_sums(in.x.f(), in.dy.f(), m.f(), sums.view(), Scratch(plan));
  reference.gradient_sums(in.x.d(), in.dy.d(), m.d(), exact.view(), {});
  sums.expect_close(exact, in.count, largest.gradient_sums, what + " gradient sums");
  const bool of_batch = m.count > 0;
  const ConstView read = of_batch ? exact.seen() : ConstView();
  plan.backward_data(in.x.f(), in.dy.f(), m.f(), read, in.w_f(), dx.view(), Scratch(plan));
  reference.backward_data(in.x.d(), in.dy.d(), m.d(), read, in.w_d(), dx.d(), {});
  dx.expect_within(
      [&](std::size_t i) {
        const std::size_t c = in.channel(i);
        const double means = std::abs(exact[c]) + largest.normalised[c] * std::abs(exact[in.channels() + c]);
        return rounding(c) * std::abs(in.w(c)) / m.deviation(c) *
               (largest.gradient[c] + (of_batch ? means / static_cast<double>(m.count) : 0));
      },
      what + " backward data");
}

inline void check_batch_norm(Backend& backend, Backend& reference, Layer& in) {
  const auto& s = in.s;
  const auto plan = backend.plan_batch_norm(s), expected = reference.plan_batch_norm(s);
  const auto what =
      text(backend, "batch norm",
           {s.batch, s.channels, s.height, s.width, s.layout == Layout::nhwc, in.has_weight, in.has_bias});
  Sums sums(s.channels), exact(s.channels);
  plan->statistics(in.x.f(), sums.view(), Scratch(*plan));
  expected->statistics(in.x.d(), exact.view(), {});
  const Moments of_batch{in, exact, std::max<std::int64_t>(in.count, 1)}, running{in, exact, 0};
  sums.expect_close(exact, in.count, Magnitudes(of_batch).statistics, what + " statistics");
  check_passes(*plan, *expected, of_batch, what + ", of the batch,");
  check_passes(*plan, *expected, running, what + ", running,");
}

}  // namespace partita::tests
