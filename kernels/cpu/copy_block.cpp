/// Copies of strided blocks: the loops are put in the order of the target's memory, and dimensions that lie
/// behind each other in both tensors become one, so that the innermost loop is as long a run as there is.
#include <cstdlib>
#include <cstring>

#include "elementwise.hpp"

namespace partita::kernels::cpu {
namespace {

/// One loop of the copy: how often, and how far both sides move each time.
struct Loop {
  std::int64_t extent = 1, from = 0, to = 0;
};

[[nodiscard]] bool outside(const Loop& a, const Loop& b) {
  return std::abs(a.to) != std::abs(b.to) ? std::abs(a.to) > std::abs(b.to)
                                          : std::abs(a.from) > std::abs(b.from);
}

/// The fewest loops, innermost last.
std::array<Loop, 4> loops_of(const BlockExtents& extents, const StridedBlock& from, const StridedBlock& to) {
  std::array<Loop, 4> sorted{}, merged{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    if (extents[i] == 1) continue;
    const Loop loop{extents[i], from.strides[i], to.strides[i]};
    std::size_t place = count++;
    for (; place > 0 && outside(loop, sorted[place - 1]); --place)
      sorted[place] = sorted[place - 1];
    sorted[place] = loop;
  }
  std::size_t innermost = 4;
  while (count-- > 0) {
    const Loop& next = sorted[count];
    if (innermost < 4) {
      Loop& inner = merged[innermost];
      if (next.from == inner.extent * inner.from && next.to == inner.extent * inner.to) {
        inner.extent *= next.extent;
        continue;
      }
    }
    merged[--innermost] = next;
  }
  return merged;
}

template <bool Add>
void run(const Loop& loop, const float* __restrict x, float* __restrict y) {
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
void copy(const std::array<Loop, 4>& loops, const float* x, float* y) {
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
