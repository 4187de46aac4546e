/// Runs a kernel in float32 and the double reference on the same random data, outputs poisoned and guarded.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "backends.hpp"

namespace partita::tests {

using namespace kernels;

inline std::unique_ptr<Backend> oracle() { return make_reference_backend(DataType::float64); }

/// Calls whose sums the back-end leaves in its memory.
inline LossSums sums_of(const std::function<void(View)>& loss) {
  std::array<double, 2> sums{NAN, NAN};
  loss(std::span(sums));
  return {.loss = sums[0], .correct = static_cast<std::int64_t>(sums[1])};
}
inline LossSums cross_entropy(Backend& backend, std::int64_t batch, std::int64_t classes, ConstView logits,
                              ConstView labels, double scale, View dlogits) {
  return sums_of(
      [&](View sums) { backend.cross_entropy(batch, classes, logits, labels, scale, dlogits, sums); });
}
inline LossSums mean_squared_error(Backend& backend, std::int64_t batch, std::int64_t features,
                                   ConstView output, ConstView target, double scale, View doutput) {
  return sums_of(
      [&](View sums) { backend.mean_squared_error(batch, features, output, target, scale, doutput, sums); });
}
inline LossSums finish_cross_entropy(Backend& backend, std::int64_t batch, std::int64_t classes,
                                     std::int64_t first_class, std::span<const std::int64_t> class_offsets,
                                     ConstView statistics, ConstView logits, ConstView labels, double scale,
                                     View dlogits) {
  return sums_of([&](View sums) {
    backend.cross_entropy_finish(batch, classes, first_class, class_offsets, statistics, logits, labels,
                                 scale, dlogits, sums);
  });
}

/// The same values in both precisions.
struct Values {
  std::vector<float> single;
  std::vector<double> twice;
  explicit Values(std::int64_t n, bool poisoned = false)
      : single(static_cast<std::size_t>(n)), twice(single.size()) {
    static std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < single.size(); ++i)
      twice[i] = single[i] = poisoned ? std::numeric_limits<float>::quiet_NaN() : normal(generator);
  }
  [[nodiscard]] std::span<float> f() { return single; }
  [[nodiscard]] std::span<double> d() { return twice; }
};

/// An output: NaN inside, a guard behind.
struct Output : Values {
  static constexpr std::size_t guard = 64;
  std::size_t n;
  bool started = false;  ///< from values of the caller's instead of poison
  explicit Output(std::int64_t size) : Values(size, true), n(static_cast<std::size_t>(size)) {
    single.resize(n + guard, -7.5F);
  }
  void start_from(const Values& values) {
    std::copy(values.single.begin(), values.single.end(), single.begin());
    twice = values.twice;
    started = true;
  }
  [[nodiscard]] View view() { return std::span(single.data(), n); }

  /// The same of a matrix [rows, columns] whose rows are `leading` apart; what lies between stays poisoned.
  void expect_close_within(std::int64_t rows, std::int64_t columns, std::int64_t leading, double length,
                           const std::string& what) {
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = columns; j < leading; ++j) {
        const auto at = static_cast<std::size_t>(i * leading + j);
        if (started) {
          ASSERT_EQ(static_cast<double>(single[at]), twice[at]) << what << " wrote between rows";
        } else {
          ASSERT_TRUE(std::isnan(single[at])) << what << " wrote between rows";
        }
        single[at] = 0, twice[at] = 0;
      }
    expect_close(length, what);
  }

  /// |float − double| ≤ 8·length·ε·scale element by element, length the number of terms of a sum.
  void expect_close(double length, const std::string& what) const {
    double scale = 1;
    for (const double x : twice)
      scale = std::max(scale, std::abs(x));
    const double tolerance = 8 * std::max(1.0, length) * std::numeric_limits<float>::epsilon() * scale;
    expect_within([tolerance](std::size_t) { return tolerance; }, what);
  }
  /// |float − double| ≤ tolerance(i) of each element i.
  void expect_within(const std::function<double(std::size_t)>& tolerance, const std::string& what) const {
    for (std::size_t i = 0; i < n; ++i)
      if (!(std::abs(static_cast<double>(single[i]) - twice[i]) <= tolerance(i))) {
        ADD_FAILURE() << what << ": element " << i << " is " << single[i] << ", not " << twice[i];
        return;
      }
    for (std::size_t i = n; i < n + guard; ++i)
      ASSERT_EQ(single[i], -7.5F) << what << " wrote behind its output";
  }
};

/// df/dx by central differences against the gradient that a kernel gave.
inline void expect_gradient(std::vector<double>& x, const std::vector<double>& gradient,
                            const std::function<double()>& f) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = x[i], h = 1e-6;
    x[i] = at + h;
    const double above = f();
    x[i] = at - h;
    const double below = f();
    x[i] = at;
    EXPECT_NEAR((above - below) / (2 * h), gradient[i], 1e-7 * (1 + std::abs(gradient[i]))) << i;
  }
}

/// A workspace of just the size that a plan asks for, aligned, full of NaN.
class Scratch {
 public:
  explicit Scratch(const Plan& plan)
      : bytes_(static_cast<std::size_t>(plan.workspace().value()) + 64, std::byte{0xFF}) {}
  operator Workspace() {
    const auto offset = (64 - reinterpret_cast<std::uintptr_t>(bytes_.data()) % 64) % 64;
    return std::span(bytes_).subspan(offset, bytes_.size() - 64);
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace partita::tests
