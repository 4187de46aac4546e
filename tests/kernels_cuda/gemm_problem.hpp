/// A product for tests: random operands with NaN between their rows, a guarded result, and the double
/// reference with the error that any order of summation may make.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gemm/family.hpp"

namespace partita::tests {

namespace gemm = kernels::cuda::gemm;

struct Problem {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  std::int64_t pad_a = 0, pad_b = 0, pad_c = 0;  ///< elements between the end of a row and the next
  std::int64_t shift = 0;                        ///< elements from a boundary of 256 bytes to each matrix
  float alpha = 1, beta = 0;
  bool bias = false, relu = false, mask = false, row_sums = false;
  bool c_is_bf16 = false;
  bool few_bits = true;  ///< operands are whole in bfloat16, so that all products are exact
  std::uint32_t seed = 1;
  [[nodiscard]] std::string text() const;
};

/// A kernel's result as its memory holds it, guards and padding included.
struct Outcome {
  std::vector<std::byte> c, row_sums;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Whether the kernel takes the problem (and its chip fits): asks `supports` with the device's pointers.
/// Runs it `times` times from the same memory; a failed comparison is reported to GoogleTest.
/// Returns false where the kernel says that it does not compute this.
bool check_product(const gemm::Kernel&, const Problem&, const gemm::Chip&);

}  // namespace partita::tests
