/// Runs a kernel in float32 and the double reference on the same random data, outputs poisoned and guarded.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "partita/kernels/backend.hpp"

namespace partita::tests {

using namespace kernels;

inline std::unique_ptr<Backend> oracle() { return make_reference_backend(DataType::float64); }

/// The back-ends under test.
inline std::vector<std::unique_ptr<Backend>> backends() {
  std::vector<std::unique_ptr<Backend>> all;
  all.push_back(make_cpu_backend(1));
  all.push_back(make_cpu_backend(2));
  all.push_back(make_reference_backend(DataType::float32));
  return all;
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
  explicit Output(std::int64_t size) : Values(size, true), n(static_cast<std::size_t>(size)) {
    single.resize(n + guard, -7.5F);
  }
  [[nodiscard]] View view() { return std::span(single.data(), n); }

  /// |float − double| ≤ 8·length·ε·scale element by element, length the number of terms of a sum.
  void expect_close(double length, const std::string& what) const {
    double scale = 1;
    for (const double x : twice)
      scale = std::max(scale, std::abs(x));
    const double tolerance = 8 * std::max(1.0, length) * std::numeric_limits<float>::epsilon() * scale;
    for (std::size_t i = 0; i < n; ++i)
      if (!(std::abs(static_cast<double>(single[i]) - twice[i]) <= tolerance)) {
        ADD_FAILURE() << what << ": element " << i << " is " << single[i] << ", not " << twice[i];
        return;
      }
    for (std::size_t i = n; i < n + guard; ++i)
      ASSERT_EQ(single[i], -7.5F) << what << " wrote behind its output";
  }
};

/// A workspace of just the size that a plan asks for, aligned.
class Scratch {
 public:
  explicit Scratch(const Plan& plan) : bytes_(static_cast<std::size_t>(plan.workspace().value()) + 64) {}
  operator Workspace() {
    const auto offset = (64 - reinterpret_cast<std::uintptr_t>(bytes_.data()) % 64) % 64;
    return std::span(bytes_).subspan(offset, bytes_.size() - 64);
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace partita::tests
