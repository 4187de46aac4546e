/// A batch is the plain formula, in both layouts and both precisions.

#include "partita/data/batch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace partita::data {
namespace {

using kernels::Layout;
using kernels::Samples;
using kernels::Shape;
using kernels::View;

void fill_batch(const Dataset& set, std::span<const std::int64_t> indices, Layout layout, View x, View y) {
  fill_samples(set, indices, layout, x);
  fill_answers(set, indices, y);
}

Dataset image_set(std::int64_t n, Shape shape) {
  Dataset set{.name = "made", .samples = Samples(n), .sample_shape = shape, .classes = 7};
  set.images.resize(static_cast<std::size_t>((n * shape.elements()).value()));
  for (std::size_t i = 0; i < set.images.size(); ++i)
    set.images[i] = static_cast<std::uint8_t>((i * 37 + i / 256) % 256);
  for (std::int64_t i = 0; i < n; ++i)
    set.labels.push_back(static_cast<std::int32_t>(i % 7));
  set.normalisation = {.mean = {0.1307}, .stddev = {0.3081}};
  return set;
}

/// Position of (channel, pixel) in a sample.
std::int64_t place(const Shape& shape, Layout layout, std::int64_t c, std::int64_t p) {
  const auto pixels = shape[1] * shape[2];
  return layout == Layout::nchw ? c * pixels + p : p * shape[0] + c;
}

template <class T>
void expect_formula(const Dataset& set, const std::vector<std::int64_t>& indices, Layout layout) {
  const auto& shape = set.sample_shape;
  const auto width = shape.elements().value();
  std::vector<T> x(indices.size() * static_cast<std::size_t>(width), T(-99));
  std::vector<std::int32_t> y(indices.size(), -1);
  fill_batch(set, indices, layout, std::span(x), std::span(y));
  // Two roundings of float of numbers up to (1 + |mean|) / stddev.
  const auto& by = set.normalisation;
  double largest = 0;
  for (std::int64_t c = 0; c < shape[0]; ++c)
    largest = std::max(largest, (1 + std::abs(by.mean_of(c))) / by.stddev_of(c));
  const double tolerance = 4 * std::numeric_limits<T>::epsilon() * largest;
  for (std::size_t b = 0; b < indices.size(); ++b) {
    EXPECT_EQ(y[b], indices[b] % 7);
    for (std::int64_t c = 0; c < shape[0]; ++c) {
      for (std::int64_t p = 0; p < shape[1] * shape[2]; ++p) {
        const auto source = static_cast<std::size_t>(indices[b] * width + c * shape[1] * shape[2] + p);
        const double expected = (set.images[source] / 255.0 - by.mean_of(c)) / by.stddev_of(c);
        const auto at =
            b * static_cast<std::size_t>(width) + static_cast<std::size_t>(place(shape, layout, c, p));
        ASSERT_NEAR(x[at], expected, tolerance) << "sample " << b << " channel " << c << " pixel " << p;
      }
    }
  }
}

TEST(Batch, IsTheFormulaInBothLayoutsAndPrecisions) {
  const std::vector<std::vector<std::int64_t>> batches{{}, {0}, {8}, {3, 3, 0}, {8, 7, 6, 5, 4, 3, 2, 1, 0}};
  for (const auto& shape : {Shape{1, 28, 28}, Shape{3, 5, 7}, Shape{2, 1, 1}, Shape{1, 1, 17}}) {
    const auto set = image_set(9, shape);
    for (const auto& indices : batches) {
      for (const auto layout : {Layout::nchw, Layout::nhwc}) {
        expect_formula<float>(set, indices, layout);
        expect_formula<double>(set, indices, layout);
      }
    }
  }
}

TEST(Batch, EachChannelHasItsOwnNormalisation) {
  for (const auto& shape : {Shape{3, 5, 7}, Shape{3, 1, 1}, Shape{3, 32, 32}}) {
    auto set = image_set(4, shape);
    set.normalisation = {.mean = {0.5, -2, 0.25}, .stddev = {0.125, 3, 0.5}};
    for (const auto layout : {Layout::nchw, Layout::nhwc}) {
      expect_formula<float>(set, {3, 0, 2}, layout);
      expect_formula<double>(set, {3, 0, 2}, layout);
    }
  }
}

TEST(Batch, FeaturesAndTargetsAreCopied) {
  Dataset set{.name = "made",
              .task = Task::regression,
              .samples = Samples(3),
              .sample_shape = {2},
              .target_shape = {1, 2}};
  set.features = {1, 2, 3, 4, 5, 6};
  set.targets = {10, 20, 30, 40, 50, 60};
  const std::vector<std::int64_t> indices{2, 0};
  std::vector<float> x(4), y(4);
  fill_batch(set, indices, Layout::nhwc, std::span(x), std::span(y));
  EXPECT_EQ(x, (std::vector<float>{5, 6, 1, 2}));
  EXPECT_EQ(y, (std::vector<float>{50, 60, 10, 20}));
  std::vector<double> exact_x(4), exact_y(4);
  set.normalisation = {.mean = {1}, .stddev = {2}};
  fill_batch(set, indices, Layout::nchw, std::span(exact_x), std::span(exact_y));
  EXPECT_EQ(exact_x, (std::vector<double>{2, 2.5, 0, 0.5}));
  EXPECT_EQ(exact_y, (std::vector<double>{50, 60, 10, 20}));
}

TEST(Batch, FeatureImagesFollowTheLayout) {
  Dataset set{.name = "made",
              .task = Task::regression,
              .samples = Samples(1),
              .sample_shape = {2, 1, 3},
              .target_shape = {1}};
  set.features = {1, 2, 3, 4, 5, 6};
  set.targets = {0};
  std::vector<float> x(6);
  fill_samples(set, std::vector<std::int64_t>{0}, Layout::nhwc, std::span(x));
  EXPECT_EQ(x, (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST(Batch, RefusesWrongViewsAndIndices) {
  const auto set = image_set(3, {1, 2, 2});
  std::vector<float> x(4);
  std::vector<std::int32_t> y(1);
  std::vector<double> wrong_type(1);
  const std::span<float> three(x.data(), 3);
  const std::vector<std::int64_t> good{1};
  const auto fill = [&](const std::vector<std::int64_t>& i, View a, View b) {
    fill_batch(set, i, Layout::nchw, a, b);
  };
  EXPECT_NO_THROW(fill(good, std::span(x), std::span(y)));
  EXPECT_THROW(fill({3}, std::span(x), std::span(y)), base::ContractError);
  EXPECT_THROW(fill({-1}, std::span(x), std::span(y)), base::ContractError);
  EXPECT_THROW(fill(good, three, std::span(y)), base::ContractError);
  EXPECT_THROW(fill(good, std::span(x), std::span(wrong_type)), base::ContractError);
  EXPECT_THROW(fill({1, 2}, std::span(x), std::span(y)), base::ContractError);
  std::vector<std::int32_t> integers(4);
  EXPECT_THROW(fill(good, std::span(integers), std::span(y)), base::ContractError);
}

}  // namespace
}  // namespace partita::data
