/// Which kinds of steps stand for those of a run.
#include "partita/step/cadence.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace partita::step {
namespace {

constexpr std::int64_t start = 6;

std::vector<Cadence> that_start_synchronously() {
  return {{.local = {.period = 3, .start = start}},
          {.servers = {.count = 1, .is_asynchronous = true, .synchronous_steps = start}}};
}

TEST(Cadence, ASteadyStateFollowsTwoStepsOfTheStart) {
  for (const auto& cadence : that_start_synchronously()) {
    const auto steady = steady_steps(cadence, 3);
    EXPECT_EQ(std::ranges::count(steady.kinds, StepKind::synchronous), 2);
    EXPECT_EQ(steady.kinds[1], StepKind::synchronous);
    EXPECT_GT(std::ssize(steady.kinds), 2 + steady.period);
    for (const auto& kinds : {steady.kinds, two_periods_of(cadence)})
      for (const auto kind : kinds_of_run(cadence, 20, 20))
        EXPECT_NE(std::ranges::find(kinds, kind), kinds.end()) << to_string(kind);
  }
}

TEST(Cadence, ARunThatEndsInItsStartIsSynchronous) {
  for (auto cadence : that_start_synchronously())
    for (const std::int64_t steps : {start - 1, start, start + 1}) {
      cadence.run_steps = steps;
      const auto steady = steady_steps(cadence, 3);
      const bool is_synchronous =
          std::ranges::count(steady.kinds, StepKind::synchronous) == std::ssize(steady.kinds);
      EXPECT_EQ(is_synchronous, steps <= start);
      EXPECT_EQ(steady.period == 1, steps <= start);
      EXPECT_EQ(kinds_by_use(cadence).front() == StepKind::synchronous, steps <= start);
    }
}

}  // namespace
}  // namespace partita::step
