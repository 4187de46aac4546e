/// The real MNIST, where PARTITA_DATA_DIR leads to it; else skipped, visibly.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "partita/data/dataset.hpp"

namespace partita::data {
namespace {

TEST(Mnist, HasItsKnownCountsMomentsAndContent) {
  const char* dir = std::getenv("PARTITA_DATA_DIR");
  if (!dir || !std::filesystem::is_directory(std::filesystem::path(dir) / "mnist"))
    GTEST_SKIP() << "PARTITA_DATA_DIR does not lead to mnist";
  DataOptions options;
  options.name = "mnist";
  const auto pair = load(options);
  EXPECT_EQ(pair.train.samples, kernels::Samples(60000));
  EXPECT_EQ(pair.test.samples, kernels::Samples(10000));
  EXPECT_EQ(pair.train.sample_shape, (kernels::Shape{1, 28, 28}));
  EXPECT_EQ(pair.train.classes, 10);
  EXPECT_NEAR(pair.train.normalisation.mean.at(0), 0.1307, 5e-5);
  EXPECT_NEAR(pair.train.normalisation.stddev.at(0), 0.3081, 5e-5);
  EXPECT_EQ(pair.train.labels[0], 5);
  EXPECT_EQ(pair.test.labels[0], 7);
  EXPECT_EQ(pair.train.sha256, "13dc9cfa5d0be7fbc1dc9995fe734e5c769ce7b1448cf8e704082180caaaf252");
  EXPECT_EQ(pair.test.sha256, "28e812ebe32d78dc49b71698d53abcb75d89e39f6348f274e5e79e2109d9d879");
}

}  // namespace
}  // namespace partita::data
