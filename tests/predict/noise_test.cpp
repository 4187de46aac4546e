/// Steps that scatter, and trainings that fail.
#include "partita/predict/noise.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "partita/predict/failures.hpp"
#include "partita/step/shards.hpp"
#include "runs.hpp"

namespace partita::predict {
namespace {

/// Four data ranks of a small perceptron on a machine of random figures.
Subject small_subject(const machine::Machine& machine) {
  const auto run = run_of(tests::model_of("64", {"linear 64", "relu", "linear 10"}), 64);
  return subject_on(run, {.data = 4}, machine, 1);
}

TEST(Noise, MovesStepsAsItsFactorsSay) {
  std::mt19937 random(5);
  const auto machine = random_machine(random);
  const auto subject = small_subject(machine);
  const Supposed supposed{.machine = machine, .speed = {}};
  const double quiet = predict(subject, supposed, 64, 3).step_seconds();
  for (const double step : noisy_steps(subject, supposed, 64, {}, 5))
    EXPECT_DOUBLE_EQ(step, quiet);
  const machine::Variance fifth{.within_run = 0.2};
  auto steps = noisy_steps(subject, supposed, 64, {.deviation = fifth}, 200);
  EXPECT_EQ(noisy_steps(subject, supposed, 64, {.deviation = fifth}, 200), steps) << "the same draws";
  EXPECT_NE(noisy_steps(subject, supposed, 64, {.deviation = fifth, .seed = 2}, 200), steps);
  std::ranges::sort(steps);
  EXPECT_GT(steps[100], quiet) << "ranks wait for the slowest of them";
  EXPECT_LT(steps.front(), steps.back());
}

/// What a run has in common moves all its steps alike, where kernels are all that takes time by their factor.
TEST(Noise, OfRunsIsCommonToTheirStepsAndThatOfRanksHoldsTheOthersUp) {
  std::mt19937 random(5);
  auto machine = random_machine(random);
  machine.call_seconds = 10;  // beside which nothing counts
  const auto subject = small_subject(machine);
  const Supposed supposed{.machine = machine, .speed = {}};
  const double quiet = predict(subject, supposed, 64, 3).step_seconds();
  constexpr int runs = 40, steps = 3;
  const auto of_runs = noisy_steps(subject, supposed, 64, {.deviation = {.between_runs = 0.2}}, steps, runs);
  ASSERT_EQ(of_runs.size(), static_cast<std::size_t>(runs * steps));
  double mean = 0, squares = 0;
  for (int run = 0; run < runs; ++run) {
    const auto first = of_runs[static_cast<std::size_t>(run * steps)];
    for (int s = 1; s < steps; ++s)
      EXPECT_NEAR(of_runs[static_cast<std::size_t>(run * steps + s)] / first, 1, 1e-6);
    mean += std::log(first / quiet) / runs;
    squares += std::pow(std::log(first / quiet), 2) / runs;
  }
  // Of 40 draws of deviation 0.2: the mean within four of its deviations, the square within four of its own.
  EXPECT_NEAR(mean, 0, 4 * 0.2 / std::sqrt(runs));
  EXPECT_NEAR(squares, 0.04, 4 * 0.04 * std::sqrt(2.0 / runs));
  const auto of_ranks =
      noisy_steps(subject, supposed, 64, {.deviation = {.between_ranks = 0.2}}, steps, runs);
  double slower = 0;
  for (const double step : of_ranks)
    slower += step > quiet ? 1.0 / (runs * steps) : 0;
  EXPECT_GT(slower, 0.7) << "of four ranks the slowest is rarely a fast one (1 of 16)";
}

/// As many bytes as all ranks together own.
TEST(Failures, CountWhatACheckpointStores) {
  std::mt19937 random(6);
  for (int trial = 0; trial < 10; ++trial) {
    const auto machine = random_machine(random);
    auto run = random_run(random);
    run.train.optimizer.rule = trial % 2 == 0 ? kernels::OptimizerRule::sgd : kernels::OptimizerRule::adam;
    const auto subject = subject_on(run, {.data = 2, .tensor = 2}, machine, 1);
    std::int64_t elements = 0;
    for (const auto& pieces : step::owned_pieces(roles_of(subject)))
      for (const auto& piece : pieces)
        elements += piece.elements().value() * (piece.trained ? (trial % 2 == 0 ? 2 : 3) : 1);
    EXPECT_EQ(checkpoint_bytes(subject).value(), 4 * elements);
  }
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
