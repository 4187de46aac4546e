/// Products on a device, emulated or real, against products in double.
///
/// Operands are random values of their type, so that the double product is exact in them; |error| ≤
/// c·k·2⁻²⁴·Σ|a||b|, and half a unit of bfloat16 where C is. C's unused columns are poisoned and must stay as
/// they are.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "family.hpp"
#include "launch.hpp"

namespace partita::kernels::cuda::gemm {

struct Case {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false, c_is_bf16 = false;
  float alpha = 1, beta = 0;
  bool bias = false, relu = false, mask = false, row_sums = false;
  int multiprocessors = 4;
  std::int64_t padding = 0;  ///< of rows, in elements; a multiple of 8
};

inline std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.m << "x" << c.n << "x" << c.k << (c.transpose_a ? " t" : " n")
             << (c.transpose_b ? "t" : "n") << (c.c_is_bf16 ? " bf16" : " fp32") << " alpha " << c.alpha
             << " beta " << c.beta << (c.bias ? " bias" : "") << (c.relu ? " relu" : "")
             << (c.mask ? " mask" : "") << (c.row_sums ? " row sums" : "") << " on " << c.multiprocessors;
}

/// Device memory with values that the test knows on the host.
template <class T>
class Memory {
 public:
  explicit Memory(std::vector<T> values) : values_(std::move(values)) {
    if (values_.empty()) return;
    check(cudaMalloc(reinterpret_cast<void**>(&data_), bytes()), "cudaMalloc");
    check(cudaMemcpy(data_, values_.data(), bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { (void)cudaFree(data_); }
  T* data() { return data_; }
  const std::vector<T>& host() const { return values_; }
  std::vector<T> fetch() const {
    std::vector<T> values(values_.size());
    if (!values.empty())
      check(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  std::size_t bytes() const { return values_.size() * sizeof(T); }
  std::vector<T> values_;
  T* data_ = nullptr;
};

inline std::int64_t up_to_eight(std::int64_t columns) { return (columns + 7) / 8 * 8; }

/// Normal values, as `Element` holds them.
template <class Element>
std::vector<Element> random_values(std::int64_t size, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<Element> values;
  for (std::int64_t i = 0; i < size; ++i)
    values.push_back(static_cast<Element>(normal(random)));
  return values;
}

/// Sum and sum of magnitudes of one element's products.
struct Sum {
  double value = 0, magnitude = 0;
};

/// One product of `Operand`s with C of `Element`s on the device, and what it should be.
template <class Operand, class Element>
class Trial {
 public:
  Trial(const Case& c, unsigned seed)
      : case_(c),
        random_(seed),
        row_a_(up_to_eight(c.transpose_a ? c.m : c.k) + c.padding),
        row_b_(up_to_eight(c.transpose_b ? c.k : c.n) + c.padding),
        row_c_(up_to_eight(c.n) + c.padding),
        a_(random_values<Operand>((c.transpose_a ? c.k : c.m) * row_a_, random_)),
        b_(random_values<Operand>((c.transpose_b ? c.n : c.k) * row_b_, random_)),
        c_(random_values<Element>(c.m * row_c_, random_)),
        mask_(random_values<Element>(c.m * row_c_, random_)),
        bias_(random_values<float>(c.n, random_)),
        row_sums_(random_values<float>(c.m, random_)) {}

  Arguments arguments() {
    return {.a = a_.data(),
            .b = b_.data(),
            .c = c_.data(),
            .bias = case_.bias ? bias_.data() : nullptr,
            .mask = case_.mask ? mask_.data() : nullptr,
            .row_sums = case_.row_sums ? row_sums_.data() : nullptr,
            .m = case_.m,
            .n = case_.n,
            .k = case_.k,
            .row_a = row_a_,
            .row_b = row_b_,
            .row_c = row_c_,
            .alpha = case_.alpha,
            .beta = case_.beta,
            .transpose_a = case_.transpose_a,
            .transpose_b = case_.transpose_b,
            .relu = case_.relu,
            .c_is_bf16 = case_.c_is_bf16};
  }

  /// C as `kernel` leaves it.
  std::vector<Element> run(const Kernel& kernel) {
    const Chip chip{.architecture = 90, .multiprocessors = case_.multiprocessors};
    EXPECT_TRUE(kernel.supports(arguments())) << case_;
    Memory<std::uint8_t> workspace(
        std::vector<std::uint8_t>(static_cast<std::size_t>(kernel.workspace(arguments(), chip).value())));
    kernel.run(arguments(), reinterpret_cast<std::byte*>(workspace.data()), chip, nullptr);
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    return c_.fetch();
  }

  std::vector<Element> fetch() const { return c_.fetch(); }

  /// `rounding`: by how much each product may be off, relatively, because of how operands are rounded.
  /// `of_sum`: by how much the sum may be before anything is added to it.
  void compare(const std::vector<Element>& found, double rounding = 0, double of_sum = 0) const {
    int wrong = 0;
    for (std::int64_t i = 0; i < case_.m && wrong < 5; ++i)
      for (std::int64_t j = 0; j < row_c_ && wrong < 5; ++j) {
        const auto at = static_cast<std::size_t>(i * row_c_ + j);
        if (j >= case_.n) {
          const bool same = std::memcmp(&found[at], &c_.host()[at], sizeof(Element)) == 0;
          wrong += !same;
          EXPECT_TRUE(same) << case_ << ": wrote beyond its columns at " << i << ", " << j;
          continue;
        }
        const Sum sum = product(i, j);
        const double expected = epilogue(i, j, sum.value);
        double bound = 2.0 * static_cast<double>(case_.k + 4) * std::ldexp(1, -24) * (sum.magnitude + 4);
        bound += rounding * sum.magnitude + of_sum * std::abs(double{case_.alpha} * sum.value);
        if (sizeof(Element) == 2) bound += std::abs(expected) * std::ldexp(1, -8);
        const double is = static_cast<float>(found[at]);
        wrong += !(std::abs(is - expected) <= bound);
        EXPECT_LE(std::abs(is - expected), bound)
            << case_ << " at " << i << ", " << j << ": " << is << " for " << expected;
      }
  }

  void compare_row_sums() const {
    const auto found = row_sums_.fetch();
    for (std::int64_t i = 0; i < case_.m; ++i) {
      Sum sum;
      for (std::int64_t k = 0; k < case_.k; ++k) {
        sum.value += a(i, k);
        sum.magnitude += std::abs(a(i, k));
      }
      const auto at = static_cast<std::size_t>(i);
      double expected = row_sums_.host()[at];  // untouched where nobody asks
      if (case_.row_sums) expected = double{case_.alpha} * sum.value + double{case_.beta} * expected;
      const double bound = 2.0 * static_cast<double>(case_.k + 4) * std::ldexp(1, -24) * (sum.magnitude + 4);
      ASSERT_LE(std::abs(found[at] - expected), case_.row_sums ? bound : 0) << case_ << " row sum " << i;
    }
  }

 private:
  double a(std::int64_t i, std::int64_t k) const {
    return static_cast<float>(
        a_.host()[static_cast<std::size_t>(case_.transpose_a ? k * row_a_ + i : i * row_a_ + k)]);
  }
  double b(std::int64_t k, std::int64_t j) const {
    return static_cast<float>(
        b_.host()[static_cast<std::size_t>(case_.transpose_b ? j * row_b_ + k : k * row_b_ + j)]);
  }

  Sum product(std::int64_t i, std::int64_t j) const {
    Sum sum;
    for (std::int64_t k = 0; k < case_.k; ++k) {
      sum.value += a(i, k) * b(k, j);
      sum.magnitude += std::abs(a(i, k) * b(k, j));
    }
    return sum;
  }

  double epilogue(std::int64_t i, std::int64_t j, double sum) const {
    const auto at = static_cast<std::size_t>(i * row_c_ + j);
    double value = double{case_.alpha} * sum;
    if (case_.beta != 0) value += double{case_.beta} * static_cast<float>(c_.host()[at]);
    if (case_.bias) value += bias_.host()[static_cast<std::size_t>(j)];
    if (case_.relu && value < 0) value = 0;
    if (case_.mask && !(static_cast<float>(mask_.host()[at]) > 0)) value = 0;
    return value;
  }

  Case case_;
  std::mt19937 random_;
  std::int64_t row_a_, row_b_, row_c_;
  Memory<Operand> a_, b_;
  Memory<Element> c_, mask_;
  Memory<float> bias_, row_sums_;
};

/// Why this machine has no device; empty if it has one. `architecture`: that it must be of exactly, 0 for
/// any.
inline std::string no_device(int architecture) {
  int count = 0, major = 0, minor = 0;
  if (const auto error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0)
    return std::string("no CUDA device: ") + cudaGetErrorString(error);
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "cudaDeviceGetAttribute");
  if (architecture == 0 || major * 10 + minor == architecture) return "";
  return "no device of compute capability " + std::to_string(architecture / 10) + "." +
         std::to_string(architecture % 10);
}

}  // namespace partita::kernels::cuda::gemm
