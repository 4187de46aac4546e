/// Sixteen floats as the compiler's own vector: one AVX-512 register, or several narrower ones.
#pragma once

#include <cstdint>
#include <cstring>

namespace partita::kernels::cpu {

using Lanes = float __attribute__((vector_size(64)));
inline constexpr std::int64_t width = 16;

inline Lanes load(const float* from) {
  Lanes value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void store(const Lanes& value, float* to) { std::memcpy(to, &value, sizeof value); }

constexpr std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace partita::kernels::cpu
