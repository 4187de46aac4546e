/// C [m, n] = op(A)·op(B) (+ bias, then epilogue), as three loops. Sums are taken in T in the order of k.
#pragma once

#include <algorithm>
#include <vector>

#include "partita/kernels/backend.hpp"

namespace partita::kernels::reference {

template <class T>
class ReferenceGemm final : public Gemm {
 public:
  explicit ReferenceGemm(const GemmShape& shape) : s_(shape), row_(static_cast<std::size_t>(shape.n)) {}

  void run(ConstView a, ConstView b, ConstView bias, View c, Workspace) override {
    const auto A = a.as<T>(), B = b.as<T>();
    const auto C = c.as<T>();
    for (std::int64_t i = 0; i < s_.m; ++i) {
      std::fill(row_.begin(), row_.end(), T(0));
      for (std::int64_t k = 0; k < s_.k; ++k) {
        const T left = A[static_cast<std::size_t>(s_.transpose_a ? k * s_.m + i : i * s_.k + k)];
        if (s_.transpose_b)
          for (std::int64_t j = 0; j < s_.n; ++j)
            row_[j] += left * B[static_cast<std::size_t>(j * s_.k + k)];
        else
          for (std::int64_t j = 0; j < s_.n; ++j)
            row_[j] += left * B[static_cast<std::size_t>(k * s_.n + j)];
      }
      for (std::int64_t j = 0; j < s_.n; ++j) {
        T value = row_[j] + (s_.bias ? bias.as<T>()[j] : T(0));
        T& target = C[static_cast<std::size_t>(i * s_.n + j)];
        if (s_.write == Write::accumulate) value += target;
        target = s_.epilogue == Epilogue::relu && value < T(0) ? T(0) : value;
      }
    }
  }

 private:
  GemmShape s_;
  std::vector<T> row_;
};

}  // namespace partita::kernels::reference
