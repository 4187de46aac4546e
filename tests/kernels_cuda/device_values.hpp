/// Values in device memory beside what the double reference computes from the same ones. Serves a real device
/// and an emulated one alike.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "launch.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::tests {

/// Device memory of n elements with a guard before and behind; `misplaced` puts it 4 bytes off the alignment
/// of vectors.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values, bool misplaced = false)
      : n_(values.size()), first_(guard + (misplaced ? 4 / sizeof(T) : 0)) {
    std::vector<T> all(n_ + 3 * guard, T(99));
    std::copy(values.begin(), values.end(), all.begin() + static_cast<std::ptrdiff_t>(first_));
    kernels::cuda::check(cudaMalloc(&data_, all.size() * sizeof(T)), "cudaMalloc");
    kernels::cuda::check(cudaMemcpy(data_, all.data(), all.size() * sizeof(T), cudaMemcpyHostToDevice),
                         "cudaMemcpy");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  [[nodiscard]] std::span<T> span() { return {data_ + first_, n_}; }
  /// Everything issued is done, and the guards stand.
  [[nodiscard]] std::vector<T> values(const std::string& what) const {
    std::vector<T> all(n_ + 3 * guard);
    kernels::cuda::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    kernels::cuda::check(cudaMemcpy(all.data(), data_, all.size() * sizeof(T), cudaMemcpyDeviceToHost),
                         "cudaMemcpy");
    for (std::size_t i = 0; i < all.size(); ++i)
      if ((i < first_ || i >= first_ + n_) && all[i] != T(99)) {
        ADD_FAILURE() << what << " wrote outside its output";
        break;
      }
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first_);
    return {begin, begin + static_cast<std::ptrdiff_t>(n_)};
  }

 private:
  static constexpr std::size_t guard = 64;
  T* data_ = nullptr;
  std::size_t n_, first_;
};

inline std::vector<float> random_values(std::int64_t n) {
  static std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (auto& value : values)
    value = normal(generator);
  return values;
}

inline std::vector<float> poison(std::int64_t n) {
  return std::vector<float>(static_cast<std::size_t>(n), std::numeric_limits<float>::quiet_NaN());
}

inline std::vector<double> doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

/// |float − double| ≤ 8·length·ε·scale element by element, length the number of terms of a sum.
inline void expect_close(const std::vector<float>& single, const std::vector<double>& twice,
                         std::int64_t length, const std::string& what) {
  ASSERT_EQ(single.size(), twice.size());
  double scale = 1;
  for (const double x : twice)
    scale = std::max(scale, std::abs(x));
  const auto terms = static_cast<double>(std::max<std::int64_t>(1, length));
  const double tolerance = 8 * terms * std::numeric_limits<float>::epsilon() * scale;
  for (std::size_t i = 0; i < single.size(); ++i)
    if (!(std::abs(static_cast<double>(single[i]) - twice[i]) <= tolerance)) {
      ADD_FAILURE() << what << ": element " << i << " is " << single[i] << ", not " << twice[i];
      return;
    }
}

/// A workspace of just the size that a plan asks for, poisoned.
class DeviceScratch {
 public:
  explicit DeviceScratch(const kernels::Plan& plan) : floats_(poison(plan.workspace().value() / 4)) {}
  operator kernels::Workspace() { return std::as_writable_bytes(floats_.span()); }
  void expect_guarded(const std::string& what) const { (void)floats_.values(what + " (workspace)"); }

 private:
  DeviceArray<float> floats_;
};

}  // namespace partita::tests
