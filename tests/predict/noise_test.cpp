/// Steps that scatter, and trainings that fail.
#include "partita/predict/noise.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "partita/predict/failures.hpp"
#include "runs.hpp"

namespace partita::predict {
namespace {

TEST(Noise, MovesStepsAsItsFactorsSay) {
  const auto run = run_of(tests::model_of("64", {"linear 64", "relu", "linear 10"}), 64);
  std::mt19937 random(5);
  const auto machine = random_machine(random);
  const auto subject = subject_on(run, {.data = 4}, machine, 1);
  const Supposed supposed{.machine = machine, .speed = {}};
  const double quiet = predict(subject, supposed, 64, 3).step_seconds();
  for (const double step : noisy_steps(subject, supposed, 64, {.deviation = 0}, 5))
    EXPECT_DOUBLE_EQ(step, quiet);
  auto steps = noisy_steps(subject, supposed, 64, {.deviation = 0.2}, 200);
  EXPECT_EQ(noisy_steps(subject, supposed, 64, {.deviation = 0.2}, 200), steps) << "the same draws";
  EXPECT_NE(noisy_steps(subject, supposed, 64, {.deviation = 0.2, .seed = 2}, 200), steps);
  std::ranges::sort(steps);
  EXPECT_GT(steps[100], quiet) << "ranks wait for the slowest of them";
  EXPECT_LT(steps.front(), steps.back());
}

/// With failures at rate 1/M a segment of τ + C is done in M(e^((τ+C)/M) − 1) on average, each failure costs
/// its restart.
TEST(Failures, LeaveWhatTheClosedFormSays) {
  for (const double checkpoint : {1.0, 20.0})
    for (const double restart : {0.0, 30.0}) {
      const Failures failures{
          .mtbf_seconds = 1000, .checkpoint_seconds = checkpoint, .restart_seconds = restart};
      for (const double interval : {20.0, 100.0, 400.0}) {
        const double segments = std::exp(-restart / 1000) / std::expm1((interval + checkpoint) / 1000);
        EXPECT_NEAR(goodput(failures, interval, 200000, 1), interval * segments / 1000, 0.005);
      }
      const double best = daly_seconds(failures);
      EXPECT_GE(goodput(failures, best, 200000, 1), goodput(failures, best / 4, 200000, 1));
      EXPECT_GE(goodput(failures, best, 200000, 1), goodput(failures, best * 4, 200000, 1));
    }
  EXPECT_DOUBLE_EQ(young_seconds({.mtbf_seconds = 800, .checkpoint_seconds = 1}), 40);
}

}  // namespace
}  // namespace partita::predict
