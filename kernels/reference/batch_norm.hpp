/// Batch normalisation as its definition, in double.
#pragma once

#include <algorithm>
#include <cmath>

#include "image.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

template <class T>
class ReferenceBatchNorm final : public BatchNorm {
 public:
  explicit ReferenceBatchNorm(const BatchNormShape& s)
      : s_(s), index_{s.channels, s.height, s.width, s.layout} {}

  void statistics(ConstView x, View sums, Workspace) override {
    const auto X = x.as<T>();
    add_up(sums, [&](std::int64_t, std::size_t at) {
      const auto value = static_cast<double>(X[at]);
      return Two{value, value * value};
    });
  }

  void update_running(ConstView sums, std::int64_t count, View running_mean, View running_variance) override {
    if (count == 0) return;
    const double n = static_cast<double>(count), unbiased = count > 1 ? n / (n - 1) : 1;
    for (std::int64_t c = 0; c < s_.channels; ++c) {
      const auto [mean, variance] = of_sums(sums, count, c);
      const T to_mean = moved(running_mean.as<T>()[at(c)], mean),
              to_variance = moved(running_variance.as<T>()[at(c)], variance * unbiased);
      if (!std::isfinite(to_mean) || !std::isfinite(to_variance)) continue;
      running_mean.as<T>()[at(c)] = to_mean;
      running_variance.as<T>()[at(c)] = to_variance;
    }
  }

  void forward(ConstView x, const BatchMoments& moments, ConstView weight, ConstView bias, View y,
               Workspace) override {
    const auto X = x.as<T>();
    const auto Y = y.as<T>();
    for_each([&](std::int64_t c, std::size_t i) {
      const double value = normalised(X[i], moments, c) * or_else(weight, c, 1) + or_else(bias, c, 0);
      Y[i] = s_.epilogue == Epilogue::relu && value < 0 ? T(0) : static_cast<T>(value);
    });
  }

  void gradient_sums(ConstView x, ConstView dy, const BatchMoments& moments, View sums, Workspace) override {
    const auto X = x.as<T>(), DY = dy.as<T>();
    add_up(sums, [&](std::int64_t c, std::size_t i) {
      const auto gradient = static_cast<double>(DY[i]);
      return Two{gradient, gradient * normalised(X[i], moments, c)};
    });
  }

  void backward_parameters(ConstView gradient_sums, View dweight, View dbias, Write write) override {
    const auto store = [&](View to, std::int64_t row) {
      if (to.empty()) return;
      for (std::int64_t c = 0; c < s_.channels; ++c) {
        const auto sum = static_cast<T>(gradient_sums.as<double>()[at(row * s_.channels + c)]);
        T& target = to.as<T>()[at(c)];
        target = write == Write::accumulate ? target + sum : sum;
      }
    };
    store(dbias, 0);
    store(dweight, 1);
  }

  void backward_data(ConstView x, ConstView dy, const BatchMoments& moments, ConstView gradient_sums,
                     ConstView weight, View dx, Workspace) override {
    const auto X = x.as<T>(), DY = dy.as<T>();
    const auto DX = dx.as<T>();
    const bool of_batch = moments.count > 0;
    const double n = static_cast<double>(std::max<std::int64_t>(1, moments.count));
    for_each([&](std::int64_t c, std::size_t i) {
      auto gradient = static_cast<double>(DY[i]);
      if (of_batch)
        gradient -= gradient_sums.as<double>()[at(c)] / n +
                    normalised(X[i], moments, c) * gradient_sums.as<double>()[at(s_.channels + c)] / n;
      DX[i] = static_cast<T>(or_else(weight, c, 1) * inverse_deviation(moments, c) * gradient);
    });
  }

 private:
  struct Two {
    double first, second;
  };

  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  template <class F>
  void for_each(F f) const {
    for (std::int64_t n = 0; n < s_.batch; ++n)
      for (std::int64_t c = 0; c < s_.channels; ++c)
        for (std::int64_t h = 0; h < s_.height; ++h)
          for (std::int64_t w = 0; w < s_.width; ++w)
            f(c, index_(n, c, h, w));
  }
  /// The two sums of what `f` gives for the elements of each channel.
  template <class F>
  void add_up(View sums, F f) const {
    const auto total = sums.as<double>();
    std::fill(total.begin(), total.end(), 0.0);
    for_each([&](std::int64_t c, std::size_t i) {
      const Two part = f(c, i);
      total[at(c)] += part.first;
      total[at(s_.channels + c)] += part.second;
    });
  }

  [[nodiscard]] Two of_sums(ConstView sums, std::int64_t count, std::int64_t c) const {
    const double n = static_cast<double>(count), mean = sums.as<double>()[at(c)] / n;
    const double variance = sums.as<double>()[at(s_.channels + c)] / n - mean * mean;
    return {mean, variance < 0 ? 0 : variance};
  }
  /// µ and σ².
  [[nodiscard]] Two moments_of(const BatchMoments& m, std::int64_t c) const {
    if (m.count > 0) return of_sums(m.sums, m.count, c);
    return {static_cast<double>(m.running_mean.as<T>()[at(c)]),
            static_cast<double>(m.running_variance.as<T>()[at(c)])};
  }
  [[nodiscard]] double inverse_deviation(const BatchMoments& m, std::int64_t c) const {
    return 1 / std::sqrt(moments_of(m, c).second + s_.epsilon);
  }
  [[nodiscard]] double normalised(T x, const BatchMoments& m, std::int64_t c) const {
    return (static_cast<double>(x) - moments_of(m, c).first) * inverse_deviation(m, c);
  }
  [[nodiscard]] static double or_else(ConstView values, std::int64_t c, double otherwise) {
    return values.empty() ? otherwise : static_cast<double>(values.as<T>()[at(c)]);
  }
  [[nodiscard]] T moved(T value, double towards) const {
    return static_cast<T>((1 - s_.momentum) * static_cast<double>(value) + s_.momentum * towards);
  }

  BatchNormShape s_;
  ImageIndex index_;
};

}  // namespace partita::kernels::reference
