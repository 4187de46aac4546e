/// Machines that are not there: what changes a prediction, in which direction, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "runs.hpp"

namespace partita::predict {
namespace {

using machine::Picoseconds;

/// Of three steps together: a step alone, from the end of the last rank to that of the last rank, may be
/// longer where the one before was shorter.
Picoseconds makespan_of(const Subject& subject, const Supposed& supposed) {
  return prediction_of(subject, supposed).simulation.end_of(2);  // of three steps, also where there are more
}

/// On a machine without contention that moves messages on by itself nothing that is faster makes a step
/// slower.
TEST(WhatIf, ABetterFigureMakesNoStepLonger) {
  std::mt19937 random(2);
  int shorter = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const auto run = random_run(random);
    const auto machine = random_machine(random);
    for (const topology::GridExtent& grid :
         {topology::GridExtent{.data = 4}, topology::GridExtent{.data = 2, .tensor = 2},
          topology::GridExtent{.data = 2, .pipeline = 2}}) {
      const auto subject = subject_on(run, grid, machine, grid.pipeline);
      const auto before = makespan_of(subject, {.machine = machine, .speed = {}});
      for (const auto& knob : knobs()) {
        auto better = machine;
        knob.turn(better, knob.more_is_better ? 3 : 1.0 / 3);
        const auto after = makespan_of(subject, {.machine = better, .speed = {}});
        EXPECT_LE(after, before) << knob.name;
        shorter += after < before ? 1 : 0;
      }
      EXPECT_LE(makespan_of(subject, {.machine = machine, .speed = {{1, 2.0}}}), before);
      EXPECT_GE(makespan_of(subject, {.machine = machine, .speed = {{1, 0.5}}}), before);
    }
  }
  EXPECT_GT(shorter, 100);
}

TEST(WhatIf, FiguresAreNamedAndScaled) {
  std::mt19937 random(3);
  const auto machine = random_machine(random);
  std::vector<base::Violation> violations;
  const auto supposed =
      suppose(machine, " network.node.bandwidth = 2x;compute.speed=3; rank.2.speed=0.5x ;", 4, violations);
  EXPECT_TRUE(violations.empty());
  EXPECT_DOUBLE_EQ(supposed.machine.levels[0].protocols[0].byte_seconds,
                   machine.levels[0].protocols[0].byte_seconds / 2);
  EXPECT_EQ(supposed.machine.levels[1], machine.levels[1]);
  EXPECT_DOUBLE_EQ(supposed.machine.flops_per_second, machine.flops_per_second * 3);
  EXPECT_EQ(supposed.speed, (std::map<int, double>{{2, 0.5}}));
}

/// Figures of a rank are those of all machines of a job.
TEST(WhatIf, TurnsTheFiguresOfAllRanks) {
  std::mt19937 random(3);
  auto machine = random_machine(random);
  machine.parts = {{.first = 1, .last = 2, .machine = random_machine(random)}};
  machine.parts[0].machine.kernels.push_back({.key = {.kernel = "conv"}, .median_seconds = 6});
  const auto before = machine.parts[0].machine;
  std::vector<base::Violation> violations;
  const auto supposed = suppose(
      machine, "compute.speed=3; memory.bandwidth=5; window.bandwidth=2; network.latency=7", 4, violations);
  EXPECT_TRUE(violations.empty());
  const auto& after = supposed.machine.parts[0].machine;
  EXPECT_DOUBLE_EQ(after.flops_per_second, 3 * before.flops_per_second);
  EXPECT_DOUBLE_EQ(after.call_seconds, before.call_seconds / 3);
  EXPECT_DOUBLE_EQ(after.kernels[0].median_seconds, 2);
  EXPECT_DOUBLE_EQ(after.main_bytes_per_second, 5 * before.main_bytes_per_second);
  EXPECT_DOUBLE_EQ(after.windows[0].load_byte_seconds, before.windows[0].load_byte_seconds / 2);
  EXPECT_DOUBLE_EQ(supposed.machine.levels[1].protocols[0].latency_seconds,
                   7 * machine.levels[1].protocols[0].latency_seconds);
}

TEST(WhatIf, WhatNamesNothingIsRefused) {
  std::vector<base::Violation> violations;
  suppose(machine::Machine::shipped(),
          "netwrk.latency=2x; compute.speed; compute.speed=0; memory.bandwidth=nan; rank.1.speed=1e-300x; "
          "rank.4.speed=1; "
          "rank.x.speed=1; "
          "rank.1.size=2; network.island.latency=2; =2; compute.speed=2x; compute.speed=3x",
          4, violations);
  std::vector<std::string> told;
  for (const auto& violation : violations)
    told.push_back(violation.value + ": " + violation.message);
  const std::vector<std::string> expected{
      "netwrk.latency=2x: names no figure of the machine; the nearest is network.latency",
      "compute.speed: needs a factor from 1e-6 to 1e6",
      "compute.speed=0: needs a factor from 1e-6 to 1e6",
      "memory.bandwidth=nan: needs a factor from 1e-6 to 1e6",
      "rank.1.speed=1e-300x: needs a factor from 1e-6 to 1e6",
      "rank.4.speed=1: must be rank.N.speed with N from 0 to 3",
      "rank.x.speed=1: must be rank.N.speed",
      "rank.1.size=2: must be rank.N.speed",
      "network.island.latency=2: names no figure of the machine",
      "=2: names no figure of the machine",
      "compute.speed=3x: changes compute.speed a second time"};
  ASSERT_EQ(told.size(), expected.size()) << testing::PrintToString(told);
  for (std::size_t i = 0; i < told.size(); ++i)
    EXPECT_TRUE(told[i].starts_with(expected[i])) << told[i];
}

}  // namespace
}  // namespace partita::predict
