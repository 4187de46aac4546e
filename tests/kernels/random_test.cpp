/// Counter-based random numbers: the published vectors, and dropout that no cut can change.
#include <algorithm>

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

constexpr StepValues step{.dropout_seed = 1};

std::vector<float> dropped(Backend& backend, Layout layout, std::int64_t first, std::int64_t batch) {
  const std::vector<float> x(static_cast<std::size_t>(batch * 3 * 4 * 5), 1.0F);
  std::vector<float> y(x.size(), -1.0F), logical(x.size());
  backend.dropout(
      {.batch = batch, .channels = 3, .height = 4, .width = 5, .layout = layout, .probability = 0.4}, &step,
      2, Samples(first), std::span(x), std::span(y));
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

TEST(Dropout, KeepsADrawThatEqualsTheProbabilityAndNoneBelow) {
  constexpr std::int64_t n = 40;
  const std::vector<float> x(n, 1.0F);
  for (const auto& backend : backends())
    for (std::int64_t i = 0; i < n; i += 3) {
      const double draw = random_uniform(random_stream(step.dropout_seed, RandomPurpose::dropout, 2),
                                         static_cast<std::uint64_t>(i));
      for (const bool above : {false, true}) {
        std::vector<float> y(n, -1.0F);
        backend->dropout({.batch = 1, .channels = n, .probability = above ? std::nextafter(draw, 1.0) : draw},
                         &step, 2, Samples(0), std::span(x), std::span(y));
        EXPECT_EQ(y[static_cast<std::size_t>(i)] == 0, above) << backend->name() << " draw " << draw;
      }
    }
}

/// Elements [first, first + count) of one dimension of tensors [batch, channels, height, width], by their own
/// plain loops.
struct Cut {
  bool of_rows;
  std::int64_t first, count;
};

std::vector<float> slice(const std::vector<float>& whole, std::int64_t batch, const Shape& image,
                         const Cut& cut) {
  std::vector<float> part;
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::int64_t c = 0; c < image[0]; ++c)
      for (std::int64_t h = 0; h < image[1]; ++h)
        for (std::int64_t w = 0; w < image[2]; ++w) {
          const auto at = cut.of_rows ? h : c;
          if (at < cut.first || at >= cut.first + cut.count) continue;
          part.push_back(whole[static_cast<std::size_t>(((n * image[0] + c) * image[1] + h) * image[2] + w)]);
        }
  return part;
}

/// The sharded dropout of ones, in logical order.
std::vector<float> dropped_shard(Backend& backend, Layout layout, std::int64_t batch, const Shape& image,
                                 const Cut& cut) {
  const Shape block =
      cut.of_rows ? Shape{image[0], cut.count, image[2]} : Shape{cut.count, image[1], image[2]};
  const std::vector<float> x(static_cast<std::size_t>(batch * block.elements().value()), 1.0F);
  std::vector<float> y(x.size(), -1.0F), logical(x.size());
  backend.dropout({.batch = batch,
                   .channels = block[0],
                   .height = block[1],
                   .width = block[2],
                   .layout = layout,
                   .probability = 0.4,
                   .first_channel = cut.of_rows ? 0 : cut.first,
                   .first_row = cut.of_rows ? cut.first : 0,
                   .full_channels = image[0],
                   .full_height = image[1]},
                  &step, 2, Samples(3), std::span(x), std::span(y));
  make_reference_backend(DataType::float32)
      ->reorder(batch, block, layout, Layout::nchw, std::span<const float>(y), std::span(logical));
  return logical;
}

TEST(Dropout, OfAShardIsTheSliceOfTheWhole) {
  const auto reference = make_reference_backend(DataType::float32);
  constexpr std::int64_t batch = 4;
  for (const Shape& image : {Shape{37, 1, 1}, Shape{6, 5, 7}, Shape{1, 9, 4}}) {
    const std::vector<float> ones(static_cast<std::size_t>(batch * image.elements().value()), 1.0F);
    std::vector<float> whole(ones.size());
    reference->dropout(
        {.batch = batch, .channels = image[0], .height = image[1], .width = image[2], .probability = 0.4},
        &step, 2, Samples(3), std::span(ones), std::span(whole));
    for (const auto& backend : backends())
      for (const Layout layout : {Layout::nchw, Layout::nhwc})
        for (const bool of_rows : {false, true})
          for (const std::int64_t parts : {1, 2, 3, 8})
            for (std::int64_t part = 0; part < parts; ++part) {
              const auto extent = of_rows ? image[1] : image[0];
              const auto first = part * extent / parts, end = (part + 1) * extent / parts;
              const Cut cut{.of_rows = of_rows, .first = first, .count = end - first};
              EXPECT_EQ(dropped_shard(*backend, layout, batch, image, cut), slice(whole, batch, image, cut))
                  << backend->name() << ' ' << to_string(image) << (of_rows ? " rows " : " channels ")
                  << first << " to " << end;
            }
  }
}

}  // namespace
}  // namespace partita::tests
