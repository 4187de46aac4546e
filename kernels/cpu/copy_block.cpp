/// Copies of strided blocks, run by run.
#include <cstring>

#include "elementwise.hpp"
#include "partita/kernels/block_loops.hpp"

namespace partita::kernels::cpu {
namespace {

template <bool Add>
void run(const BlockLoop& loop, const float* __restrict x, float* __restrict y) {
  if (loop.from == 1 && loop.to == 1) {
    if constexpr (!Add) {
      std::memcpy(y, x, static_cast<std::size_t>(loop.extent) * sizeof(float));
    } else {
      for (std::int64_t i = 0; i < loop.extent; ++i)
        y[i] += x[i];
    }
    return;
  }
  for (std::int64_t i = 0; i < loop.extent; ++i)
    y[i * loop.to] = Add ? y[i * loop.to] + x[i * loop.from] : x[i * loop.from];
}

template <bool Add>
void copy(const std::array<BlockLoop, 4>& loops, const float* x, float* y) {
  const auto& [a, b, c, inner] = loops;
  for (std::int64_t i = 0; i < a.extent; ++i)
    for (std::int64_t j = 0; j < b.extent; ++j)
      for (std::int64_t k = 0; k < c.extent; ++k)
        run<Add>(inner, x + i * a.from + j * b.from + k * c.from, y + i * a.to + j * b.to + k * c.to);
}

}  // namespace

void copy_block(const BlockExtents& extents, const StridedBlock& from, std::span<const float> x,
                const StridedBlock& to, std::span<float> y, Write write) {
  expect_inside(extents, from, Elements(static_cast<std::int64_t>(x.size())));
  expect_inside(extents, to, Elements(static_cast<std::int64_t>(y.size())));
  const auto loops = loops_of(extents, from, to);
  const auto f = write == Write::accumulate ? copy<true> : copy<false>;
  f(loops, x.data() + from.offset, y.data() + to.offset);
}

}  // namespace partita::kernels::cpu
