/// Counter-based random numbers: the published vectors, and dropout that no cut can change.
#include "compare.hpp"

namespace partita::tests {
namespace {

TEST(Philox, MatchesThePublishedVectors) {
  const auto zero = random_words({0, 0}, 0);
  EXPECT_EQ(zero[0], 0x6627e8d5U);
  EXPECT_EQ(zero[1], 0xe169c58dU);
  EXPECT_EQ(zero[2], 0xbc57ac4cU);
  EXPECT_EQ(zero[3], 0x9b00dbd8U);
  const auto ones = random_words({~0ULL, ~0ULL}, ~0ULL);
  EXPECT_EQ(ones[0], 0x408f276dU);
  EXPECT_EQ(ones[1], 0x41c83b0eU);
  EXPECT_EQ(ones[2], 0xa20bc7c6U);
  EXPECT_EQ(ones[3], 0x6d5451fdU);
}

std::vector<float> dropped(Backend& backend, Layout layout, std::int64_t first, std::int64_t batch) {
  const std::vector<float> x(static_cast<std::size_t>(batch * 3 * 4 * 5), 1.0F);
  std::vector<float> y(x.size(), -1.0F), logical(x.size());
  backend.dropout(
      {.batch = batch, .channels = 3, .height = 4, .width = 5, .layout = layout, .probability = 0.4}, {1, 2},
      Samples(first), std::span(x), std::span(y));
  const auto reference = make_reference_backend(DataType::float32);
  reference->reorder(batch, {3, 4, 5}, layout, Layout::nchw, std::span<const float>(y), std::span(logical));
  return logical;
}

TEST(Dropout, DependsOnTheGlobalSampleAndTheLogicalElementOnly) {
  const auto reference = make_reference_backend(DataType::float32);
  const auto whole = dropped(*reference, Layout::nchw, 0, 10);
  for (const auto& backend : backends())
    for (const Layout layout : {Layout::nchw, Layout::nhwc})
      for (const std::int64_t split : {0, 1, 3, 10}) {
        auto parts = dropped(*backend, layout, 0, split);
        const auto rest = dropped(*backend, layout, split, 10 - split);
        parts.insert(parts.end(), rest.begin(), rest.end());
        EXPECT_EQ(parts, whole) << backend->name() << " split " << split;
      }
  const auto zeros = std::count(whole.begin(), whole.end(), 0.0F);
  EXPECT_NEAR(static_cast<double>(zeros) / static_cast<double>(whole.size()), 0.4, 0.1);
  EXPECT_EQ(std::count(whole.begin(), whole.end(), 1.0F / 0.6F) + zeros,
            static_cast<std::ptrdiff_t>(whole.size()));
}

}  // namespace
}  // namespace partita::tests
