/// The product of the contract as three loops. Sums are taken in T in the order of k.
#pragma once

#include <algorithm>
#include <vector>

#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

template <class T>
class ReferenceGemm final : public Gemm {
 public:
  explicit ReferenceGemm(const GemmShape& shape) : s_(shape), row_(static_cast<std::size_t>(shape.n)) {}

  void run(const GemmViews& views, Workspace) override {
    const auto A = views.a.as<T>(), B = views.b.as<T>();
    const auto left = [&](std::int64_t i, std::int64_t k) {
      return A[static_cast<std::size_t>(s_.transpose_a ? k * s_.leading_a() + i : i * s_.leading_a() + k)];
    };
    for (std::int64_t i = 0; i < s_.m; ++i) {
      std::fill(row_.begin(), row_.end(), T(0));
      T sum = 0;
      for (std::int64_t k = 0; k < s_.k; ++k) {
        const T a = left(i, k);
        sum += a;
        for (std::int64_t j = 0; j < s_.n; ++j)
          row_[j] +=
              a *
              B[static_cast<std::size_t>(s_.transpose_b ? j * s_.leading_b() + k : k * s_.leading_b() + j)];
      }
      store(i, views);
      if (s_.row_sums) store_sum(views.row_sums.as<T>()[static_cast<std::size_t>(i)], sum);
    }
  }

 private:
  void store(std::int64_t i, const GemmViews& views) const {
    const auto C = views.c.as<T>();
    for (std::int64_t j = 0; j < s_.n; ++j) {
      const auto at = static_cast<std::size_t>(i * s_.leading_c() + j);
      T value = static_cast<T>(s_.alpha) * row_[j] + (s_.bias ? views.bias.as<T>()[j] : T(0));
      if (s_.beta != 0) value += static_cast<T>(s_.beta) * C[at];
      if (s_.epilogue == Epilogue::relu && value < T(0)) value = T(0);
      if (s_.epilogue == Epilogue::relu_mask && !(views.mask.as<T>()[at] > T(0))) value = T(0);
      C[at] = value;
    }
  }
  void store_sum(T& target, T sum) const {
    const T kept = s_.beta != 0 ? static_cast<T>(s_.beta) * target : T(0);
    target = static_cast<T>(s_.alpha) * sum + kept;
  }

  GemmShape s_;
  std::vector<T> row_;
};

}  // namespace partita::kernels::reference
