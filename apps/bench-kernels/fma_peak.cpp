/// The most multiply-adds a second that one core can do: independent chains in registers, at the vector width
/// of this build, without memory.
#include <cstdint>

#include "cases.hpp"

namespace partita::bench_kernels {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif
constexpr int lanes = vector_bytes / 4;
using Vector [[gnu::vector_size(vector_bytes)]] = float;
/// Chains that do not wait for each other: latency times units, with some to spare, and they fit the
/// registers.
constexpr int chains = vector_bytes == 64 ? 24 : 12;

}  // namespace

double fma_flops(std::int64_t rounds) {
  Vector sums[chains] = {};
  Vector a{}, b{};
  for (int i = 0; i < lanes; ++i)
    a[i] = 0.999F, b[i] = 1e-3F;
  asm volatile("" : "+x"(a), "+x"(b));  // not known at compile time
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int c = 0; c < chains; ++c)
      sums[c] = sums[c] * a + b;
  }
  for (auto& sum : sums)
    asm volatile("" : : "x"(sum));
  return 2.0 * chains * lanes * static_cast<double>(rounds);
}

}  // namespace partita::bench_kernels
