/// When a training asks for its split again, and what it is told: against all candidates, predicted one by
/// one on ranks of the speeds that were measured.
#include "partita/predict/replan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runs.hpp"

namespace partita::predict {
namespace {

TEST(Replan, IsAskedWhereStepsLeaveThePrediction) {
  EXPECT_FALSE(departs(1.5, 1, 0.5));
  EXPECT_TRUE(departs(1.5001, 1, 0.5));
  EXPECT_FALSE(departs(0.5, 1, 0.5));
  EXPECT_TRUE(departs(0.4999, 1, 0.5)) << "faster than expected, too";
  EXPECT_FALSE(departs(1, 1, 1e-9));
}

/// The split of a candidate, where the run takes it.
std::optional<plan::Split> split_of(const config::RunOptions& run, const Candidate& candidate,
                                    const machine::Machine& machine,
                                    const std::map<int, double>& speed = {}) {
  std::vector<base::Violation> violations;
  auto split = config::split_for_training(with(run, candidate), machine, violations, {.speed = speed});
  return violations.empty() ? std::move(split) : std::nullopt;
}

/// A step as ranks of these speeds take it.
MeasuredStep step_on(const config::RunOptions& run, const plan::Split& split, const Supposed& seen) {
  const auto subject = subject_of(run, split, seen.machine, collective::AlgorithmTable::shipped());
  return {.seconds = predict(subject, seen, split.batch, 3).step_seconds(),
          .busy_seconds = busy_seconds_of(subject, seen)};
}

TEST(Replan, StaysWithTheBestWhereRanksAreAsTheMachineSays) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 6; ++trial) {
    const auto run = random_run(random);
    const auto machine = random_machine(random);
    const auto& table = collective::AlgorithmTable::shipped();
    const auto best = search(run, 4, machine, table, {}).outcomes.front();
    const auto split = split_of(run, best.candidate, machine).value();
    const auto replan =
        predict::replan(run, split, step_on(run, split, {.machine = machine, .speed = {}}), machine, table);
    EXPECT_TRUE(replan.better.empty()) << trial;
    EXPECT_EQ(replan.current_seconds, best.step_seconds) << trial;
    for (const auto& [rank, speed] : replan.speed)
      EXPECT_EQ(speed, 1) << trial << ", rank " << rank;
  }
}

TEST(Replan, FindsTheBestForASlowRank) {
  std::mt19937 random(3);
  int moved = 0;
  for (int trial = 0; trial < 12; ++trial) {
    const auto run = random_run(random);
    const auto machine = random_machine(random);
    const auto& table = collective::AlgorithmTable::shipped();
    const int ranks = std::uniform_int_distribution<int>(2, 6)(random);
    const Supposed seen{.machine = machine,
                        .speed = {{std::uniform_int_distribution<int>(0, ranks - 1)(random), 0.25}}};
    const auto current =
        split_of(run, search(run, ranks, machine, table, {}).outcomes.front().candidate, machine).value();
    const auto measured = step_on(run, current, seen);
    const auto replan = predict::replan(run, current, measured, machine, table);
    for (const auto& [rank, speed] : replan.speed)  // of whole picoseconds
      EXPECT_NEAR(speed, seen.speed.contains(rank) ? 0.25 : 1, 1e-4) << trial << ", rank " << rank;
    EXPECT_NEAR(replan.current_seconds, measured.seconds, 1e-4 * measured.seconds) << trial;
    double best = measured.seconds;
    Splitter splitter(run, machine, seen.speed);
    for (const auto& candidate : candidates_of(run, ranks))
      for (const auto& variant : splitter.variants_of(candidate))
        if (const auto split = split_of(run, variant, machine, seen.speed))
          best = std::min(best, step_on(run, *split, seen).seconds);
    if (replan.better.empty()) {
      EXPECT_GE(best, 0.9499 * measured.seconds) << trial;
    } else {
      EXPECT_NEAR(*replan.better.front().step_seconds, best, 1e-4 * best) << trial;
      ++moved;
    }
  }
  EXPECT_GT(moved, 1);
}

TEST(Replan, KeepsMicrobatchesThatDecideStatistics) {
  auto run =
      run_of(tests::model_of("1x6x6", {"conv 4 kernel=3", "batchnorm", "relu", "flatten", "linear 3"}), 32);
  const auto& machine = machine::Machine::shipped();
  const auto split = split_of(run, {.grid = {.data = 2}, .pipeline = {.microbatches = 2}}, machine).value();
  auto measured = step_on(run, split, {.machine = machine, .speed = {}});
  measured.busy_seconds[1] *= 1000;
  const auto replan = predict::replan(run, split, measured, machine, collective::AlgorithmTable::shipped());
  ASSERT_FALSE(replan.better.empty());
  for (const auto& outcome : replan.better)
    EXPECT_EQ(outcome.candidate.pipeline.microbatches, 2) << outcome.candidate.name();
}

}  // namespace
}  // namespace partita::predict
