/// The search against all candidates simulated one by one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "runs.hpp"

namespace partita::predict {
namespace {

/// Seconds of a step of every candidate that the run takes.
std::vector<std::pair<Candidate, double>> all_simulated(const config::RunOptions& run, int ranks,
                                                        const machine::Machine& machine,
                                                        const std::map<int, double>& speed) {
  std::vector<std::pair<Candidate, double>> all;
  const auto& table = collective::AlgorithmTable::shipped();
  for (const auto& candidate : candidates_of(run, ranks)) {
    std::vector<base::Violation> violations;
    const auto options = with(run, candidate);
    auto split = config::split_for_training(options, machine, violations);
    if (!split || !violations.empty()) continue;
    const auto subject = subject_of(options, std::move(*split), machine, table);
    all.emplace_back(candidate,
                     predict(subject, {.machine = machine, .speed = speed}, run.train.batch, 3).step_seconds());
  }
  return all;
}

TEST(Search, FindsTheBestOfAllCandidates) {
  std::mt19937 random(1);
  std::size_t ruled_out = 0;
  for (int trial = 0; trial < 100; ++trial) {
    const auto run = random_run(random);
    const auto machine = random_machine(random);
    const int ranks = std::uniform_int_distribution<int>(1, 8)(random);
    std::map<int, double> speed;  // of one rank in every other trial: slower or faster than the others
    if (trial % 2 == 1) speed[trial % ranks] = trial % 4 == 1 ? 0.25 : 4;
    const auto all = all_simulated(run, ranks, machine, speed);
    const auto plans =
        search(run, ranks, machine, collective::AlgorithmTable::shipped(), {.top = 1, .speed = speed});
    ASSERT_FALSE(all.empty());
    const auto best =
        std::ranges::min_element(all, {}, [](const auto& candidate) { return candidate.second; })->second;
    ASSERT_EQ(plans.outcomes.front().step_seconds, best)
        << trial << ": " << plans.outcomes.front().candidate.name();
    EXPECT_TRUE(plans.is_certain);
    EXPECT_EQ(plans.outcomes.size() - plans.count(Fate::impossible), all.size());
    for (const auto& outcome : plans.outcomes) {
      EXPECT_TRUE(outcome.known_as.empty() || outcome.fate == Fate::simulated ||
                  outcome.fate == Fate::impossible)
          << outcome.known_as;
      if (outcome.fate != Fate::bounded) continue;
      ++ruled_out;
      const auto truth = std::ranges::find(all, outcome.candidate, [](const auto& c) { return c.first; });
      ASSERT_NE(truth, all.end());
      EXPECT_LE(outcome.bound_seconds, truth->second) << "a bound is never above the truth";
      EXPECT_GE(truth->second, best) << outcome.candidate.name();
    }
  }
  EXPECT_GT(ruled_out, 100U) << "bounds rule out";
}

TEST(Search, LeavesOutWhatDoesNotFit) {
  const auto run = run_of(tests::model_of("100", {"linear 100", "linear 100", "linear 100"}), 64);
  const auto& machine = machine::Machine::shipped();
  const auto& table = collective::AlgorithmTable::shipped();
  const auto free = search(run, 4, machine, table, {});
  auto least = free.outcomes.front().memory, most = least;
  for (const auto& outcome : free.outcomes)
    least = std::min(least, outcome.memory), most = std::max(most, outcome.memory);
  ASSERT_LT(least, most);
  const auto tight = search(run, 4, machine, table, {.memory = least});
  EXPECT_EQ(tight.outcomes.front().memory, least);
  EXPECT_GT(tight.count(Fate::too_large), 0U);
  const auto none = search(run, 4, machine, table, {.memory = least - kernels::Bytes(1)});
  EXPECT_EQ(none.count(Fate::simulated), 0U);
  EXPECT_FALSE(none.is_certain);
  const auto smallest = search(run, 4, machine, table, {.objective = Objective::memory});
  EXPECT_EQ(smallest.outcomes.front().memory, least);
}

TEST(Search, KeepsMicrobatchesWhereTheModelSharesStatistics) {
  auto run =
      run_of(tests::model_of("1x6x6", {"conv 4 kernel=3", "batchnorm", "relu", "flatten", "linear 3"}), 32);
  run.pipeline.microbatches = 2;
  for (const auto& candidate : candidates_of(run, 4))
    EXPECT_EQ(candidate.pipeline.microbatches, 2) << candidate.name();
}

}  // namespace
}  // namespace partita::predict
