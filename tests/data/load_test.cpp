/// `load` names everything that is wrong at once, and gives the training set's moments to both halves.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "idx_files.hpp"
#include "partita/data/dataset.hpp"

namespace partita::data {
namespace {

using kernels::Samples;
using kernels::Shape;
using test::Bytes;
using test::Folder;
using test::gzip_bytes;
using test::idx_bytes;

constexpr const char* train_images = "set/train-images-idx3-ubyte";
constexpr const char* train_labels = "set/train-labels-idx1-ubyte";
constexpr const char* test_images = "set/t10k-images-idx3-ubyte";
constexpr const char* test_labels = "set/t10k-labels-idx1-ubyte";

/// Three training and two test images of 1x2.
void write_good_set(const Folder& folder) {
  folder.write(train_images, idx_bytes({3, 1, 2}, {0, 255, 51, 102, 0, 204}));
  folder.write(std::string(train_labels) + ".gz", gzip_bytes(idx_bytes({3}, {0, 2, 1})));
  folder.write(std::string(test_images) + ".gz", gzip_bytes(idx_bytes({2, 1, 2}, {9, 8, 7, 6})));
  folder.write(test_labels, idx_bytes({2}, {1, 0}));
}

DataOptions options_of(const Folder& folder) {
  DataOptions options;
  options.name = "set";
  options.dir = folder.path();
  return options;
}

std::vector<base::Violation> violations_of(const DataOptions& options) {
  std::vector<base::Violation> violations;
  const bool loaded = load(options, violations).has_value();
  EXPECT_EQ(loaded, violations.empty());
  return violations;
}

void expect_violation(const DataOptions& options, const std::string& key_part,
                      const std::string& message_part) {
  for (const auto& v : violations_of(options))
    if (v.key.find(key_part) != std::string::npos && v.message.find(message_part) != std::string::npos)
      return;
  ADD_FAILURE() << "no violation of " << key_part << " with " << message_part;
}

TEST(Load, ReadsPlainAndGzipHalves) {
  const Folder folder;
  write_good_set(folder);
  const auto pair = load(options_of(folder));
  EXPECT_EQ(pair.train.samples, Samples(3));
  EXPECT_EQ(pair.train.sample_shape, (Shape{1, 1, 2}));
  EXPECT_EQ(pair.train.classes, 3);
  EXPECT_EQ(pair.train.labels, (std::vector<std::int32_t>{0, 2, 1}));
  EXPECT_EQ(pair.test.images, (Bytes{9, 8, 7, 6}));
  EXPECT_EQ(pair.test.classes, 3);
  // Pixels 0 1 0.2 0.4 0 0.8: mean 0.4, squares 0 1 0.04 0.16 0 0.64 = 1.84 / 6.
  EXPECT_NEAR(pair.train.normalisation.mean.at(0), 0.4, 1e-14);
  EXPECT_NEAR(pair.train.normalisation.stddev.at(0), std::sqrt(1.84 / 6 - 0.16), 1e-14);
  EXPECT_EQ(pair.test.normalisation, pair.train.normalisation);
  EXPECT_EQ(pair.sha256.size(), 64u);
  EXPECT_NE(pair.train.sha256, pair.test.sha256);
}

TEST(Load, TakesMomentsAndFirstSamplesAsAsked) {
  const Folder folder;
  write_good_set(folder);
  auto options = options_of(folder);
  options.mean = {0.25};
  options.stddev = {2};
  options.train_samples = Samples(2);
  const auto pair = load(options);
  EXPECT_EQ(pair.test.normalisation, (Moments{.mean = {0.25}, .stddev = {2}}));
  EXPECT_EQ(pair.train.normalisation, pair.test.normalisation);
  EXPECT_EQ(pair.train.images, (Bytes{0, 255, 51, 102}));
  EXPECT_EQ(pair.train.labels.size(), 2u);
  EXPECT_NE(pair.sha256, load(options_of(folder)).sha256);
}

TEST(Load, HoldsOutTheLastTrainingSamples) {
  const Folder folder;
  write_good_set(folder);
  auto options = options_of(folder);
  options.hold_out = Samples(1);
  const auto pair = load(options);
  EXPECT_EQ(pair.train.samples, Samples(2));
  EXPECT_EQ(pair.train.images, (std::vector<std::uint8_t>{0, 255, 51, 102}));
  EXPECT_EQ(pair.train.labels, (std::vector<std::int32_t>{0, 2}));
  EXPECT_EQ(pair.test.samples, Samples(1));
  EXPECT_EQ(pair.test.images, (std::vector<std::uint8_t>{0, 204}));
  EXPECT_EQ(pair.test.labels, (std::vector<std::int32_t>{1}));
  EXPECT_DOUBLE_EQ(pair.train.normalisation.mean_of(0), (0 + 255 + 51 + 102) / 4.0 / 255);  // of what is left
  EXPECT_NE(pair.sha256, load(options_of(folder)).sha256);

  options.hold_out = Samples(3);
  expect_violation(options, "data.hold-out", "leaves none of the 3 training samples; the nearest is 2");
  options.train_samples = Samples(2);
  expect_violation(options, "data.hold-out", "leaves none of the 2 training samples; the nearest is 1");
  options.test_samples = Samples(1);
  expect_violation(options, "data.test-samples", "leave one of them out");
}

TEST(Load, HoldsOutNumbersAndTheirTargets) {
  DataOptions options;
  options.name = "random";
  options.train_samples = Samples(10);
  const auto whole = load(options);
  options.hold_out = Samples(4);
  const auto pair = load(options);
  ASSERT_EQ(pair.train.features.size(), 60u);
  ASSERT_EQ(pair.test.targets.size(), 40u);
  EXPECT_TRUE(
      std::equal(pair.train.features.begin(), pair.train.features.end(), whole.train.features.begin()));
  EXPECT_TRUE(
      std::equal(pair.test.features.begin(), pair.test.features.end(), whole.train.features.begin() + 60));
  EXPECT_TRUE(
      std::equal(pair.test.targets.begin(), pair.test.targets.end(), whole.train.targets.begin() + 60));
}

TEST(Load, FindsTheFolderThroughTheEnvironment) {
  const Folder folder;
  write_good_set(folder);
  const char* before = std::getenv("PARTITA_DATA_DIR");
  const std::string kept = before ? before : "";
  setenv("PARTITA_DATA_DIR", folder.path().c_str(), 1);
  DataOptions options;
  options.name = "set";
  EXPECT_EQ(load(options).train.samples, Samples(3));
  unsetenv("PARTITA_DATA_DIR");
  expect_violation(options, "data.dir", "PARTITA_DATA_DIR");
  if (before) setenv("PARTITA_DATA_DIR", kept.c_str(), 1);
}

TEST(Load, NamesEverythingAtOnce) {
  const Folder folder;
  write_good_set(folder);
  std::filesystem::remove(folder.path() / test_labels);
  folder.write(train_images, {1, 2, 3, 4, 5});
  auto damaged = gzip_bytes(idx_bytes({2, 1, 2}, {9, 8, 7, 6}));
  damaged[damaged.size() - 6] ^= 1;
  folder.write(std::string(test_images) + ".gz", damaged);
  auto options = options_of(folder);
  options.stddev = {0};
  options.mean = {std::numeric_limits<double>::quiet_NaN()};
  options.train_samples = Samples(0);
  EXPECT_EQ(violations_of(options).size(), 6u);
  expect_violation(options, "data.std", "above 0");
  expect_violation(options, "data.mean", "finite");
  expect_violation(options, "data.train-samples", "must be from 1");
  expect_violation(options, "train-images", "is no IDX file");
  expect_violation(options, "t10k-images", "incorrect data check");
  expect_violation(options, "t10k-labels", "nor t10k-labels-idx1-ubyte.gz");
  EXPECT_THROW(load(options), base::ConfigError);
}

TEST(Load, RefusesContradictions) {
  const Folder folder;
  write_good_set(folder);
  folder.write(test_labels, idx_bytes({3}, {1, 0, 0}));
  expect_violation(options_of(folder), "t10k-labels",
                   "holds 3 labels, but t10k-images-idx3-ubyte.gz holds 2 images");
  folder.write(test_labels, idx_bytes({2}, {1, 3}));
  expect_violation(options_of(folder), "t10k-labels", "label 3 of sample 1 is out of range, expected 0 to 2");
  auto options = options_of(folder);
  options.classes = 2;
  EXPECT_EQ(violations_of(options).size(), 2u) << "training and test labels";
  options.classes = 4;
  EXPECT_TRUE(violations_of(options).empty());
  folder.write(std::string(test_images) + ".gz", gzip_bytes(idx_bytes({2, 2, 1}, {9, 8, 7, 6})));
  expect_violation(options, "t10k-images", "its images are 1x2x1, the training set's 1x1x2");
  folder.write(std::string(test_images) + ".gz", gzip_bytes(idx_bytes({0, 1, 2}, {})));
  expect_violation(options, "t10k-images", "holds no pixels");
}

TEST(Load, TheTestSetMayHaveAClassOfItsOwn) {
  const Folder folder;
  write_good_set(folder);
  folder.write(test_labels, idx_bytes({2}, {1, 3}));
  expect_violation(
      options_of(folder), "t10k-labels",
      "label 3 of sample 1 is out of range, expected 0 to 2 by the training set's labels (1 such "
      "label); the nearest is data.classes=4");
  auto options = options_of(folder);
  options.classes = 5;
  const auto pair = load(options);
  EXPECT_EQ(pair.train.classes, 5);
  EXPECT_EQ(pair.test.classes, 5);
  EXPECT_EQ(pair.test.labels, (std::vector<std::int32_t>{1, 3}));
  options.classes = 1;
  expect_violation(options, "data.classes", "must be from 2 to 1048576");
}

TEST(Load, ASetNamesItsClasses) {
  const Folder folder;
  write_good_set(folder);
  folder.write(test_labels, idx_bytes({2}, {1, 3}));
  const auto name = [&](const std::string& text) {
    folder.write("set/classes.txt", Bytes(text.begin(), text.end()));
  };
  name(
      "\xef\xbb\xbf"
      "cat\r\nd\xc3\xb6g\nold man\nfour\n\n");
  auto pair = load(options_of(folder));
  EXPECT_EQ(pair.train.class_names, (std::vector<std::string>{"cat", "d\xc3\xb6g", "old man", "four"}));
  EXPECT_EQ(pair.test.class_names, pair.train.class_names);
  EXPECT_EQ(pair.test.classes, 4);
  auto options = options_of(folder);
  options.classes = 6;
  pair = load(options);
  EXPECT_EQ(pair.train.class_names.size(), 6u);
  EXPECT_EQ(pair.train.class_names.back(), "5");
  name("cat\ndog\n");
  expect_violation(options_of(folder), "train-labels", "expected 0 to 1 by classes.txt (1 such label)");
  expect_violation(options_of(folder), "t10k-labels", "the nearest is data.classes=4");
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "names no class"},
           {"\n\n", "names no class"},
           {"a\n\nb\n", "line 2 is blank"},
           {"a\nb\xe4r\n", "line 2 is not UTF-8"},
           {"\xed\xa0\x80", "line 1 is not UTF-8"},
           {"a\tb", "line 1 holds a control character"},
           {std::string("a\0b", 3), "control character"},
           {std::string(201, 'x'), "line 1 holds 201 bytes, at most 200"}}) {
    name(text);
    expect_violation(options_of(folder), "classes.txt", why);
  }
  std::filesystem::remove(folder.path() / "set/classes.txt");
  std::filesystem::create_directory(folder.path() / "set/classes.txt");
  expect_violation(options_of(folder), "classes.txt", "is not a regular file");
}

TEST(Load, DigitsHaveTenClassesOrMore) {
  DataOptions options;
  options.train_samples = options.test_samples = Samples(3);
  EXPECT_EQ(load(options).test.class_names.back(), "9");
  options.classes = 12;
  EXPECT_EQ(load(options).test.classes, 12);
  EXPECT_EQ(load(options).test.class_names.size(), 12u);
  options.classes = 9;
  expect_violation(options, "data.classes", "the nearest is 10");
}

/// Two training images and one test image of 3 channels, 1x2 each.
void write_colour_set(const Folder& folder) {
  folder.write("set/train-images-idx4-ubyte",
               idx_bytes({2, 3, 1, 2}, {0, 51, 10, 10, 0, 255, 102, 153, 10, 10, 255, 0}));
  folder.write(train_labels, idx_bytes({2}, {0, 1}));
  folder.write("set/t10k-images-idx4-ubyte.gz", gzip_bytes(idx_bytes({1, 3, 1, 2}, {1, 2, 3, 4, 5, 6})));
  folder.write(test_labels, idx_bytes({1}, {1}));
}

TEST(Load, ImagesOfSeveralChannelsHaveMomentsByChannel) {
  const Folder folder;
  write_colour_set(folder);
  auto options = options_of(folder);
  const auto pair = load(options);
  EXPECT_EQ(pair.train.sample_shape, (Shape{3, 1, 2}));
  EXPECT_EQ(pair.test.images, (Bytes{1, 2, 3, 4, 5, 6}));
  const auto& moments = pair.test.normalisation;
  ASSERT_EQ(moments.mean.size(), 3u);
  // Pixels 0 .2 .4 .6; four times 10/255; 0 1 1 0.
  EXPECT_NEAR(moments.mean[0], 0.3, 1e-14);
  EXPECT_NEAR(moments.stddev[0], std::sqrt(0.05), 1e-14);
  EXPECT_NEAR(moments.mean[1], 10 / 255., 1e-14);
  EXPECT_EQ(moments.stddev[1], 1) << "a constant channel";
  EXPECT_NEAR(moments.mean[2], 0.5, 1e-14);
  EXPECT_NEAR(moments.stddev[2], 0.5, 1e-14);
  options.mean = {0.5};
  options.stddev = {1, 2, 3};
  EXPECT_EQ(load(options).train.normalisation, (Moments{.mean = {0.5, 0.5, 0.5}, .stddev = {1, 2, 3}}));
  options.mean = {1, 2};
  options.stddev = {1, 2, 3, 4};
  EXPECT_EQ(violations_of(options).size(), 2u);
  expect_violation(options, "data.mean", "has 2 numbers, a sample of set has shape 3x1x2");
  expect_violation(options, "data.std", "the nearest is 3");
}

TEST(Load, RefusesContradictoryImageFiles) {
  const Folder folder;
  write_colour_set(folder);
  folder.write(train_images, idx_bytes({2, 1, 2}, {1, 2, 3, 4}));
  expect_violation(options_of(folder), "train-images-idx4-ubyte", "train-images-idx3-ubyte is there too");
  std::filesystem::remove(folder.path() / "set/train-images-idx4-ubyte");
  expect_violation(options_of(folder), "t10k-images-idx4", "its images are 3x1x2, the training set's 1x1x2");
  folder.write("set/t10k-images-idx4-ubyte.gz", gzip_bytes(idx_bytes({1, 1, 2}, {1, 2})));
  expect_violation(options_of(folder), "t10k-images-idx4", "has 3 dimensions, expected 4");
}

TEST(Load, RefusesMoreSamplesThanThereAre) {
  const Folder folder;
  write_good_set(folder);
  auto options = options_of(folder);
  options.train_samples = Samples(4);
  expect_violation(options, "data.train-samples", "must be at most 3");
}

TEST(Load, NamesAMissingFolderOnce) {
  const Folder folder;
  const auto violations = violations_of(options_of(folder));
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_NE(violations[0].message.find("does not exist"), std::string::npos);
}

TEST(Load, ConstantImagesAreNotDividedByZero) {
  const Folder folder;
  write_good_set(folder);
  folder.write(train_images, idx_bytes({3, 1, 2}, Bytes(6, 51)));
  EXPECT_EQ(load(options_of(folder)).train.normalisation.stddev, (std::vector<double>{1}));
}

TEST(Load, RefusesImpossibleRandomSets) {
  DataOptions options;
  options.name = "random";
  options.random.features = Shape{3, 0, 2};
  options.random.targets = Shape{};
  EXPECT_EQ(violations_of(options).size(), 2u);
  options.random = {.task = Task::classification, .features = Shape{4}, .targets = {}, .classes = 1};
  expect_violation(options, "data.classes", "from 2");
  options.random = {
      .task = Task::regression, .features = Shape{1 << 20, 1 << 20}, .targets = Shape{1}, .classes = 0};
  options.train_samples = Samples(1);
  expect_violation(options, "data.train-samples", "at most");
}

}  // namespace
}  // namespace partita::data
