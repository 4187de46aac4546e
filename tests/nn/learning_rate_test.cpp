/// Schedules against plain arithmetic, at their edges too.
#include "partita/nn/learning_rate.hpp"

#include <gtest/gtest.h>

namespace partita::nn {
namespace {

TEST(LearningRate, ConstantStaysAndWarmUpRisesLinearlyToIt) {
  const LearningRate plain{.base = 0.5};
  for (const std::int64_t step : {0L, 1L, 1L << 40})
    EXPECT_EQ(plain.at(step), 0.5);
  const LearningRate warm{.base = 0.5, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(warm.at(0), 0.125);
  EXPECT_DOUBLE_EQ(warm.at(2), 0.375);
  EXPECT_DOUBLE_EQ(warm.at(3), 0.5);
  EXPECT_DOUBLE_EQ(warm.at(4), 0.5);
  const LearningRate one{.base = 0.5, .warmup_steps = 1};
  EXPECT_DOUBLE_EQ(one.at(0), 0.5);
}

TEST(LearningRate, StepFallsByGammaAtEachMultipleAfterTheWarmUp) {
  const LearningRate rate{.base = 1, .decay = Decay::step, .warmup_steps = 2, .step_length = 3, .gamma = 0.5};
  const double expected[] = {0.5, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25};
  for (std::int64_t step = 0; step < 9; ++step)
    EXPECT_DOUBLE_EQ(rate.at(step), expected[step]) << step;
}

TEST(LearningRate, CosineGoesFromTheBaseThroughItsHalfTowardsZero) {
  const LearningRate rate{.base = 2, .decay = Decay::cosine, .warmup_steps = 10, .total_steps = 110};
  EXPECT_DOUBLE_EQ(rate.at(10), 2);
  EXPECT_NEAR(rate.at(60), 1, 1e-12);
  EXPECT_NEAR(rate.at(35), 1 + std::sqrt(0.5), 1e-12);
  EXPECT_GT(rate.at(109), 0);
  EXPECT_NEAR(rate.at(110), 0, 1e-12);
}

TEST(LearningRate, AScheduleWithoutStepsIsConstant) {
  EXPECT_EQ((LearningRate{.base = 2, .decay = Decay::cosine, .warmup_steps = 0, .total_steps = 0}.at(0)), 2);
  EXPECT_EQ((LearningRate{.base = 2, .decay = Decay::step, .step_length = 0}.at(7)), 2);
}

}  // namespace
}  // namespace partita::nn
