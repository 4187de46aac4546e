/// Products of a warpgroup. Their sums are NaN for whoever looks before the wait; operands are read in the
/// wait, or at once, by the machine's order.
///
/// Source: PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".
#pragma once

#include <cstdint>

namespace cuda_on_host {
struct WarpgroupProduct {
  float* d;
  int n;
  std::uint64_t a, b;
  bool transpose_a, transpose_b, accumulate;
};
void warpgroup_fence();
void warpgroup_commit();
void warpgroup_wait(unsigned unfinished);
void warpgroup_product(WarpgroupProduct);
}  // namespace cuda_on_host

namespace partita::ptx {

inline void warpgroup_fence() { cuda_on_host::warpgroup_fence(); }
inline void warpgroup_commit() { cuda_on_host::warpgroup_commit(); }
template <int N>
void warpgroup_wait() {
  cuda_on_host::warpgroup_wait(N);
}
/// Concerns a compiler only.
template <int Count>
void warpgroup_settle(float (&)[Count]) {}

template <int N, bool TransposeA, bool TransposeB>
void warpgroup_mma(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, bool accumulate) {
  static_assert(N % 8 == 0 && N >= 8 && N <= 256);
  cuda_on_host::warpgroup_product({d, N, a, b, TransposeA, TransposeB, accumulate});
}

template <int R>
void registers_grow() {
  static_assert(R % 8 == 0 && R >= 24 && R <= 256);
}
template <int R>
void registers_shrink() {
  static_assert(R % 8 == 0 && R >= 24 && R <= 256);
}

}  // namespace partita::ptx
