/// Full, plane and classes have the same times.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "partita/sim/deadlock.hpp"
#include "partita/sim/simulate.hpp"
#include "random_grids.hpp"

namespace partita::sim {
namespace {

std::vector<int> all_of(std::size_t count) {
  std::vector<int> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back(static_cast<int>(i));
  return all;
}

void expect_equal(const Simulation& one, const Simulation& other) {
  ASSERT_EQ(one.steps.size(), other.steps.size());
  for (std::size_t s = 0; s < one.steps.size(); ++s) {
    ASSERT_EQ(one.steps[s].size(), other.steps[s].size());
    for (std::size_t r = 0; r < one.steps[s].size(); ++r)
      EXPECT_EQ(one.steps[s][r], other.steps[s][r]) << "step " << s << " rank " << r;
  }
}

TEST(Depths, PlaneIsFullOnAPipelineOfDataRanks) {
  const auto model = equal_layers(6);
  const auto plan =
      plan_of(model, {.grid = {.data = 3, .pipeline = 2},
                      .batch = 17,
                      .pipeline = {.schedule = step::Schedule::one_f_one_b, .microbatches = 4}});
  const auto grid = programs_of(model, plan);
  const auto costs = costs_on(machine::Machine::shipped(), grid.by_rank, 17, {});
  expect_equal(simulate(grid.by_rank, costs, 3),
               simulate(grid.by_rank, costs, 3, {.depth = Depth::plane, .spans_of = all_of(6)}));
}

class RandomGrids : public testing::TestWithParam<int> {};

TEST_P(RandomGrids, HaveTheSameTimesInAllDepths) {
  for (int i = 0; i < 50; ++i) {
    const auto g = GridDraw(static_cast<std::uint64_t>(1000 * GetParam() + i)).draw(64);
    SCOPED_TRACE(g.name());
    const auto grid = programs_of(g.chain.model, plan_of(g.chain.model, g.request));
    auto costs = costs_on(g.machine, grid.by_rank, g.chain.batch, g.site);
    if (!g.speed.empty()) costs = with_speeds(costs, g.speed);
    const auto steady = step::steady_steps(g.request.cadence, 3);
    const auto simulated = [&](Depth depth, const std::vector<int>& spans_of) {
      return simulate(grid.by_rank, costs, static_cast<int>(steady.kinds.size()),
                      {.depth = depth, .spans_of = spans_of, .steady = steady});
    };
    EXPECT_FALSE(find_deadlock(grid.by_rank, {.same_order = true}));
    const auto full = simulated(Depth::full, {});
    const auto all = all_of(grid.by_rank.size());
    expect_equal(full, simulated(Depth::plane, all));
    const auto classes = simulated(Depth::classes, all);
    EXPECT_EQ(classes.depth, Depth::classes);
    expect_equal(full, classes);
    if (HasFailure()) return;
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomGrids, testing::Range(0, 12));

int count_of(const std::vector<int>& classes) {
  return classes.empty() ? 0 : 1 + *std::ranges::max_element(classes);
}

/// Else the comparisons above would compare ranks with themselves.
TEST(Depths, RandomGridsHaveRanksThatAreAlikeAndAllAlgorithms) {
  std::set<collective::Algorithm> algorithms;
  int alike = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    const auto g = GridDraw(seed).draw(64);
    algorithms.insert(g.request.algorithm);
    const auto grid = programs_of(g.chain.model, plan_of(g.chain.model, g.request));
    const auto costs = costs_on(g.machine, grid.by_rank, g.chain.batch, g.site);
    const auto classes = simulate(grid.by_rank, costs, 1, {.depth = Depth::classes});
    alike += count_of(classes.class_of) < static_cast<int>(grid.by_rank.size());
  }
  EXPECT_EQ(algorithms.size(), collective::algorithms().size() + 1);  // and the table's choice
  EXPECT_GE(alike, 20);
}

/// Data ranks that tell each other nothing.
TEST(Depths, ASlowRankRefinesItsClassAndChangesOnlyWhoWaitsForIt) {
  const auto model = equal_layers(6);
  const auto plan =
      plan_of(model, {.grid = {.data = 40, .pipeline = 3}, .batch = 240, .pipeline = {.microbatches = 2}});
  const auto grid = programs_of(model, plan, false);
  const auto costs = costs_on(machine::Machine::shipped(), grid.by_rank, 240, {});
  const auto alike = simulate(grid.by_rank, costs, 3, {.depth = Depth::automatic});
  EXPECT_EQ(alike.depth, Depth::classes);
  EXPECT_EQ(count_of(alike.class_of), 3);
  std::vector<double> speeds(grid.by_rank.size(), 1);
  const int slow = 3 * 17;  // the first stage of data rank 17
  speeds[static_cast<std::size_t>(slow)] = 0.5;
  const auto slowed = with_speeds(costs, speeds);
  const auto refined = simulate(grid.by_rank, slowed, 3, {.depth = Depth::automatic});
  EXPECT_EQ(count_of(refined.class_of), 6);
  for (std::size_t r = 0; r < grid.by_rank.size(); ++r)
    EXPECT_EQ(refined.steps[2][r] == alike.steps[2][r], r / 3 != 17) << r;
  EXPECT_EQ(refined.steps[2][51].busy, 2 * alike.steps[2][51].busy);
  expect_equal(simulate(grid.by_rank, slowed, 3, {.depth = Depth::plane}), refined);
}

TEST(Depths, WhereAllRanksDifferPlaneTakesThePlaceOfClasses) {
  const auto model = equal_layers(2);
  const auto plan =
      plan_of(model, {.grid = {.data = 128}, .batch = 128, .algorithm = collective::Algorithm::ring});
  const auto grid = programs_of(model, plan);
  const auto costs = costs_on(machine::Machine::shipped(), grid.by_rank, 128, {});
  std::vector<double> speeds(grid.by_rank.size(), 1);
  speeds.front() = 0.5;
  const auto simulation = simulate(grid.by_rank, with_speeds(costs, speeds), 3, {.depth = Depth::classes});
  EXPECT_EQ(simulation.depth, Depth::plane);
  EXPECT_TRUE(simulation.class_of.empty());
}

TEST(Depths, FewRanksAreSimulatedInFullAndSoArePolledOnesOfWhichFewAreAlikeWithinALimit) {
  using machine::Progress;
  const auto model = equal_layers(2);
  const auto simulated = [&](int ranks, Progress progress, double first_speed) {
    const auto plan = plan_of(
        model,
        {.grid = {.data = ranks}, .batch = ranks, .algorithm = collective::Algorithm::recursive_doubling});
    const auto grid = programs_of(model, plan);
    auto machine = machine::Machine::shipped();
    machine.progress = progress;
    std::vector<double> speeds(grid.by_rank.size(), 1);
    speeds.front() = first_speed;
    const auto costs = with_speeds(costs_on(machine, grid.by_rank, ranks, {}), speeds);
    return simulate(grid.by_rank, costs, 1, {.depth = Depth::automatic});
  };
  EXPECT_EQ(simulated(64, Progress::independent, 1).depth, Depth::full);
  EXPECT_EQ(simulated(128, Progress::independent, 1).depth, Depth::classes);
  EXPECT_EQ(simulated(128, Progress::polled, 1).depth, Depth::classes);
  EXPECT_FALSE(simulated(128, Progress::polled, 1).left_out.any());
  EXPECT_EQ(simulated(300, Progress::polled, 0.5).depth, Depth::full);
  EXPECT_FALSE(simulated(300, Progress::polled, 0.5).left_out.any());
  const auto many = simulated(4099, Progress::polled, 0.5);
  EXPECT_EQ(many.depth, Depth::plane);
  EXPECT_TRUE(many.left_out.polling);
}

}  // namespace
}  // namespace partita::sim
