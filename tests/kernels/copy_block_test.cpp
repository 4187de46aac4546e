/// Blocks between tensors of any strides, against four loops of their own.
#include <algorithm>
#include <numeric>

#include "compare.hpp"

namespace partita::tests {
namespace {

/// Strides of a tensor of `extents` whose dimensions lie in memory in `order`, outermost first.
std::array<std::int64_t, 4> strides_of(const BlockExtents& extents, const std::array<std::size_t, 4>& order) {
  std::array<std::int64_t, 4> strides{};
  std::int64_t step = 1;
  for (std::size_t i = 4; i-- > 0; step *= extents[order[i]])
    strides[order[i]] = step;
  return strides;
}

std::int64_t place(const StridedBlock& block, const BlockExtents& at) {
  return std::inner_product(at.begin(), at.end(), block.strides.begin(), block.offset);
}

/// y as it should be, by the definition.
std::vector<float> expected(const BlockExtents& e, const StridedBlock& from, const std::vector<float>& x,
                            const StridedBlock& to, std::vector<float> y, Write write) {
  for (std::int64_t i = 0; i < e[0]; ++i)
    for (std::int64_t j = 0; j < e[1]; ++j)
      for (std::int64_t k = 0; k < e[2]; ++k)
        for (std::int64_t l = 0; l < e[3]; ++l) {
          const float value = x[static_cast<std::size_t>(place(from, {i, j, k, l}))];
          float& target = y[static_cast<std::size_t>(place(to, {i, j, k, l}))];
          target = write == Write::accumulate ? target + value : value;
        }
  return y;
}

/// Small integers, which float32 adds exactly.
std::vector<float> integers(std::int64_t n, std::int64_t first) {
  std::vector<float> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), static_cast<float>(first));
  return values;
}

void check(const BlockExtents& extents, const StridedBlock& from, const std::vector<float>& x,
           const StridedBlock& to, const std::vector<float>& y, Write write, const std::string& what) {
  const auto right = expected(extents, from, x, to, y, write);
  for (const auto& backend : backends()) {
    auto out = y;
    backend->copy_block(extents, from, std::span(x), to, std::span(out), write);
    EXPECT_EQ(out, right) << backend->name() << ' ' << what;
  }
  const auto reference = oracle();
  const std::vector<double> twice(x.begin(), x.end());
  std::vector<double> out(y.begin(), y.end());
  reference->copy_block(extents, from, std::span(twice), to, std::span(out), write);
  EXPECT_EQ(std::vector<float>(out.begin(), out.end()), right) << what;
}

TEST(CopyBlock, BetweenAllOrdersOfMemory) {
  const BlockExtents tensor{2, 3, 4, 5};
  int turn = 0;
  for (const BlockExtents& block :
       {BlockExtents{2, 3, 4, 5}, BlockExtents{1, 3, 4, 5}, BlockExtents{2, 2, 4, 5},
        BlockExtents{2, 3, 1, 5}, BlockExtents{2, 3, 4, 2}, BlockExtents{1, 1, 1, 1},
        BlockExtents{0, 3, 4, 5}, BlockExtents{2, 3, 0, 5}, BlockExtents{2, 3, 4, 0}}) {
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    do {
      std::array<std::size_t, 4> other{0, 1, 2, 3};
      do {
        // The block lies at the far end of x and at the near end of a longer y.
        StridedBlock from{.strides = strides_of(tensor, order)}, to{.strides = strides_of(tensor, other)};
        for (std::size_t i = 0; i < 4; ++i)
          from.offset += (tensor[i] - block[i]) * from.strides[i];
        to.offset = 3;
        if (turn++ % every_case() != 0) continue;
        for (const Write write : {Write::overwrite, Write::accumulate})
          check(block, from, integers(120, 1000), to, integers(130, -500), write,
                std::to_string(block[0]) + std::to_string(block[1]) + std::to_string(block[2]) +
                    std::to_string(block[3]));
      } while (std::next_permutation(other.begin(), other.end()));
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST(CopyBlock, RepeatsAndTurnsRound) {
  // Stride 0 repeats a source, a negative one turns it round; neighbours that only look contiguous stay
  // apart.
  check({2, 1, 3, 4}, {.offset = 0, .strides = {0, 0, 0, 1}}, integers(4, 1),
        {.offset = 0, .strides = {12, 0, 4, 1}}, integers(24, 0), Write::accumulate, "repeated");
  check({1, 1, 1, 5}, {.offset = 4, .strides = {0, 0, 0, -1}}, integers(5, 1),
        {.offset = 1, .strides = {0, 0, 0, 1}}, integers(7, 0), Write::overwrite, "turned");
  check({1, 1, 3, 4}, {.offset = 11, .strides = {0, 0, -4, -1}}, integers(12, 1),
        {.offset = 11, .strides = {0, 0, -4, -1}}, integers(12, 0), Write::overwrite, "both turned");
  check({1, 2, 3, 4}, {.offset = 0, .strides = {0, 12, 4, 1}}, integers(24, 1),
        {.offset = 0, .strides = {0, 20, 6, 1}}, integers(40, 0), Write::overwrite, "spread");
  // Runs of four, but the rows of only one side lie a multiple of four apart.
  check({1, 1, 3, 4}, {.offset = 0, .strides = {0, 0, 5, 1}}, integers(16, 1),
        {.offset = 0, .strides = {0, 0, 8, 1}}, integers(24, 0), Write::overwrite, "ragged source");
  check({1, 1, 3, 4}, {.offset = 0, .strides = {0, 0, 8, 1}}, integers(24, 1),
        {.offset = 0, .strides = {0, 0, 5, 1}}, integers(16, 0), Write::overwrite, "ragged target");
}

TEST(CopyBlock, PutsAHaloOfAnImageInPlace) {
  // Two rows of [2, 3, 4, 2] nhwc (samples, rows, columns, channels) go behind the three of [2, 5, 4, 2].
  const auto x = integers(2 * 3 * 4 * 2, 1);
  std::vector<float> y(2 * 5 * 4 * 2, std::numeric_limits<float>::quiet_NaN());
  for (const auto& backend : backends()) {
    auto out = y;
    backend->copy_block({2, 2, 2, 4}, {.offset = 0, .strides = {24, 1, 8, 2}}, std::span(x),
                        {.offset = 24, .strides = {40, 1, 8, 2}}, std::span(out), Write::overwrite);
    for (std::size_t i = 0; i < out.size(); ++i)
      if (i % 40 < 24)
        EXPECT_TRUE(std::isnan(out[i])) << i;
      else
        EXPECT_EQ(out[i], x[i / 40 * 24 + i % 40 - 24]) << i;
  }
}

TEST(CopyBlock, ThatLeavesItsViewThrowsAndWritesNothing) {
  const auto x = integers(24, 1);
  const BlockExtents extents{1, 2, 3, 4};
  const StridedBlock inside{.offset = 0, .strides = {24, 12, 4, 1}};
  for (const auto& backend : backends()) {
    auto y = integers(24, 100);
    const auto before = y;
    const auto copy = [&](const BlockExtents& e, const StridedBlock& from, const StridedBlock& to) {
      backend->copy_block(e, from, std::span(x), to, std::span(y), Write::overwrite);
    };
    for (const StridedBlock& outside : {StridedBlock{.offset = 1, .strides = {24, 12, 4, 1}},
                                        StridedBlock{.offset = -1, .strides = {24, 12, 4, 1}},
                                        StridedBlock{.offset = 0, .strides = {24, 13, 4, 1}},
                                        StridedBlock{.offset = 2, .strides = {0, 12, 4, -1}}}) {
      EXPECT_THROW(copy(extents, outside, inside), std::logic_error) << backend->name();
      EXPECT_THROW(copy(extents, inside, outside), std::logic_error) << backend->name();
      EXPECT_NO_THROW(copy({1, 0, 3, 4}, outside, inside));
    }
    EXPECT_THROW(copy({1, -1, 3, 4}, inside, inside), std::logic_error) << backend->name();
    EXPECT_EQ(y, before) << backend->name();
    std::vector<double> wrong(24);
    EXPECT_THROW(
        backend->copy_block(extents, inside, std::span(wrong), inside, std::span(y), Write::overwrite),
        std::logic_error);
  }
}

}  // namespace
}  // namespace partita::tests
