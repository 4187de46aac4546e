/// Division of indices by a number that is known when a kernel is launched, as one multiplication and a
/// shift.
///
/// With l = ⌈log2 d⌉ and m = ⌊2^32·(2^l − d)/d⌋ + 1, ⌊n/d⌋ = (⌊m·n/2^32⌋ + n) / 2^l (Granlund and Montgomery
/// 1994, "Division by invariant integers using multiplication"); for n < 2^31 the sum fits in 32 bits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace partita::kernels::cuda {

struct Divisor {
  std::uint32_t value = 1, multiplier = 1, shift = 0;

  constexpr Divisor() = default;
  /// Numbers below 1 (the extent of something empty) divide as 1 does.
  __host__ __device__ constexpr explicit Divisor(std::int64_t divisor)
      : value(divisor < 1 ? 1U : static_cast<std::uint32_t>(divisor)) {
    while ((std::uint64_t(1) << shift) < value)
      ++shift;
    multiplier = static_cast<std::uint32_t>(
        ((std::uint64_t(1) << 32) * ((std::uint64_t(1) << shift) - value)) / value + 1);
  }

  /// ⌊n / value⌋ for 0 ≤ n < 2^31.
  [[nodiscard]] __host__ __device__ constexpr int quotient(int n) const {
    const auto u = static_cast<std::uint32_t>(n);
    const auto high = static_cast<std::uint32_t>((std::uint64_t(multiplier) * u) >> 32);
    return static_cast<int>((high + u) >> shift);
  }
};

struct Division {
  int quotient, remainder;
};

[[nodiscard]] __host__ __device__ constexpr Division divide(int n, const Divisor& divisor) {
  const int quotient = divisor.quotient(n);
  return {quotient, n - quotient * static_cast<int>(divisor.value)};
}

}  // namespace partita::kernels::cuda
