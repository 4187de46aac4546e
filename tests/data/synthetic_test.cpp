/// Drawn data: the same everywhere, balanced, different from sample to sample.

#include "partita/data/synthetic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace partita::data {
namespace {

using kernels::Samples;
using kernels::Shape;

std::vector<std::uint8_t> digit(std::uint64_t seed, std::int64_t index) {
  std::vector<std::uint8_t> pixels(784);
  draw_digit(seed, index, pixels);
  return pixels;
}

TEST(Digits, AreAPureFunctionOfSeedAndIndex) {
  EXPECT_EQ(digit(1, 77), digit(1, 77));
  EXPECT_NE(digit(1, 77), digit(2, 77));
  EXPECT_NE(digit(1, 77), digit(1, 78));
  const auto some = make_digits(1, Samples(70), Samples(10));
  const auto expected = digit(1, 77);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), some.images.begin() + 7 * 784));
  EXPECT_EQ(some.labels[7], digit_label(1, 77));
}

TEST(Digits, TenInARowHoldEachDigitOnce) {
  std::set<std::vector<std::int32_t>> orders;
  for (std::int64_t block = 0; block < 50; ++block) {
    std::vector<std::int32_t> order, sorted;
    for (std::int64_t i = 0; i < 10; ++i)
      order.push_back(digit_label(1, block * 10 + i));
    sorted = order;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(sorted, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 50u);
}

/// The same bytes on every machine and in every build: whoever changes the font or a distortion changes
/// these.
TEST(Digits, AreTheSameOnEveryMachine) {
  const auto pair = load(DataOptions{});
  EXPECT_EQ(pair.train.samples, Samples(12000));
  EXPECT_EQ(pair.test.samples, Samples(2000));
  EXPECT_EQ(pair.train.sha256, "64a535b89f11d9dfa5e04cb3b0159548a7235b6151969c7bc13679bafa5e21c7");
  EXPECT_EQ(pair.test.sha256, "68fbcf5bd3ef613d6baf24d89b4cf2fec59f8b71e1c0c59ab32084f2b5436cf3");
  for (const auto* half : {&pair.train, &pair.test}) {
    std::array<std::int64_t, 10> count{};
    for (const auto label : half->labels)
      ++count[static_cast<std::size_t>(label)];
    for (const auto n : count)
      EXPECT_EQ(n, half->samples.value() / 10);
  }
}

TEST(Digits, TestSamplesDoNotMoveWithTheTrainingSet) {
  DataOptions options;
  options.train_samples = Samples(20);
  options.test_samples = Samples(30);
  const auto few = load(options);
  options.train_samples = Samples(50);
  const auto more = load(options);
  EXPECT_EQ(few.test.images, more.test.images);
  EXPECT_TRUE(std::equal(few.train.images.begin(), few.train.images.end(), more.train.images.begin()));
  EXPECT_FALSE(std::equal(few.train.images.begin(), few.train.images.end(), few.test.images.begin()));
}

/// Ink inside, little at the rim: a digit is on the picture.
TEST(Digits, LieOnThePicture) {
  double rim = 0, inside = 0;
  for (std::int64_t i = 0; i < 200; ++i) {
    const auto pixels = digit(1, i);
    for (std::size_t p = 0; p < 784; ++p) {
      const auto row = p / 28, column = p % 28;
      const bool at_rim = row < 1 || row > 26 || column < 1 || column > 26;
      (at_rim ? rim : inside) += pixels[p] / (at_rim ? 108.0 : 676.0) / 200;
    }
  }
  EXPECT_GT(inside, 25);
  EXPECT_LT(rim, inside / 2);
}

/// Nearest class mean is right far more often than chance and far less often than always.
TEST(Digits, AreLearnableButNotTrivial) {
  const auto train = make_digits(1, Samples(0), Samples(2000));
  const auto test = make_digits(1, Samples(100000), Samples(500));
  std::vector<double> means(7840);
  for (std::size_t i = 0; i < 2000; ++i)
    for (std::size_t p = 0; p < 784; ++p)
      means[static_cast<std::size_t>(train.labels[i]) * 784 + p] += train.images[i * 784 + p] / 200.0;
  int correct = 0;
  for (std::size_t i = 0; i < 500; ++i) {
    std::array<double, 10> distance{};
    for (std::size_t k = 0; k < 10; ++k)
      for (std::size_t p = 0; p < 784; ++p)
        distance[k] += std::pow(test.images[i * 784 + p] - means[k * 784 + p], 2);
    correct += std::min_element(distance.begin(), distance.end()) - distance.begin() == test.labels[i];
  }
  EXPECT_GT(correct, 250);
  EXPECT_LT(correct, 450);
}

TEST(Random, RegressionIsNormalAndReproducible) {
  const RandomOptions options{
      .task = Task::regression, .features = Shape{10}, .targets = Shape{3}, .classes = 0};
  const auto whole = make_random(options, 4, Samples(0), Samples(3000));
  const auto part = make_random(options, 4, Samples(17), Samples(2));
  EXPECT_TRUE(std::equal(part.features.begin(), part.features.end(), whole.features.begin() + 170));
  EXPECT_TRUE(std::equal(part.targets.begin(), part.targets.end(), whole.targets.begin() + 51));
  EXPECT_EQ(whole.targets.size(), 9000u);
  const auto moments = moments_of(whole);
  const double standard_error = 1 / std::sqrt(30000.0);
  EXPECT_NEAR(moments.mean.at(0), 0, 5 * standard_error);
  EXPECT_NEAR(moments.stddev.at(0), 1, 5 * standard_error);
}

/// Share of samples that a linear classifier gets right after 30 passes of the perceptron rule over them.
double perceptron_accuracy(const Dataset& set) {
  const auto width = static_cast<std::size_t>(set.sample_elements().value());
  const auto classes = static_cast<std::size_t>(set.classes);
  std::vector<double> weights(classes * width);
  int correct = 0;
  for (int pass = 0; pass < 30; ++pass) {
    correct = 0;
    for (std::size_t i = 0; i < set.labels.size(); ++i) {
      std::vector<double> score(classes);
      for (std::size_t k = 0; k < classes; ++k)
        for (std::size_t j = 0; j < width; ++j)
          score[k] += weights[k * width + j] * set.features[i * width + j];
      const auto said =
          static_cast<std::size_t>(std::max_element(score.begin(), score.end()) - score.begin());
      const auto right = static_cast<std::size_t>(set.labels[i]);
      correct += said == right;
      for (std::size_t j = 0; j < width && said != right; ++j) {
        weights[right * width + j] += set.features[i * width + j];
        weights[said * width + j] -= set.features[i * width + j];
      }
    }
  }
  return correct / static_cast<double>(set.labels.size());
}

TEST(Random, ClassificationFollowsALinearTeacher) {
  const RandomOptions options{
      .task = Task::classification, .features = Shape{3, 4, 4}, .targets = {}, .classes = 5};
  const auto set = make_random(options, 4, Samples(0), Samples(2000));
  EXPECT_EQ(set.sample_shape, (Shape{3, 4, 4}));
  std::array<int, 5> count{};
  for (const auto label : set.labels)
    ++count.at(static_cast<std::size_t>(label));
  for (const auto n : count)
    EXPECT_GT(n, 100);
  EXPECT_GT(perceptron_accuracy(set), 0.9);
}

TEST(Random, NumbersAreUsedAsTheyAre) {
  DataOptions options;
  options.name = "random";
  const auto pair = load(options);
  EXPECT_EQ(pair.train.samples, Samples(100));
  EXPECT_EQ(pair.train.sample_shape, Shape{10});
  EXPECT_EQ(pair.train.target_shape, Shape{10});
  EXPECT_EQ(pair.train.normalisation, Moments{});
  EXPECT_NE(pair.train.features, pair.test.features);
}

}  // namespace
}  // namespace partita::data
