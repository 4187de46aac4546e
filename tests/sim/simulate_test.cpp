/// The event model against times worked out by hand.
#include "partita/sim/simulate.hpp"

#include <gtest/gtest.h>

#include <cstdio>

#include "grid_programs.hpp"
#include "partita/base/clock.hpp"

namespace partita::sim {
namespace {

using collective::Operation;
using step::Kind;
using topology::Axis;

/// A program of one transfer: `before` seconds of work, its start, `beside` seconds of work, its wait,
/// `after`. The seconds are found again by micro-batch.
step::Program around(const topology::GridExtent& grid, const step::Transfer& transfer) {
  step::Program program{.grid = grid, .transfers = {transfer}};
  program.instructions = {{.kind = Kind::forward, .microbatch = step::MicrobatchId(0)},
                          {.kind = Kind::start, .transfer = step::TransferId(0)},
                          {.kind = Kind::forward, .microbatch = step::MicrobatchId(1)},
                          {.kind = Kind::wait, .transfer = step::TransferId(0)},
                          {.kind = Kind::forward, .microbatch = step::MicrobatchId(2)}};
  return program;
}

/// By rank and instruction, in seconds.
Durations of_work(std::vector<std::vector<double>> work, double transfer) {
  return {.instruction =
              [work = std::move(work)](int rank, const step::Instruction& i) {
                return seconds(work[static_cast<std::size_t>(rank)][i.microbatch->index()]);
              },
          .transfer = [=](int, const step::Transfer&) { return seconds(transfer); }};
}

struct OneMessage {
  topology::GridExtent grid{.pipeline = 2};
  step::Program sender =
      around(grid, {.operation = Operation::send, .axis = Axis::pipeline, .peer = 1, .tag = 7});
  step::Program receiver =
      around(grid, {.operation = Operation::receive, .axis = Axis::pipeline, .peer = 0, .tag = 7});
  step::ProgramsByRank by_rank{&sender, &receiver};
};

void expect_times(const RankStep& rank, const std::vector<double>& ends) {
  ASSERT_EQ(rank.instructions.size(), ends.size());
  for (std::size_t i = 0; i < ends.size(); ++i)
    EXPECT_EQ(rank.instructions[i].end, seconds(ends[i])) << i;
}

TEST(Simulate, AReceiverWaitsForTheSenderThenForTheData) {
  const OneMessage message;
  const auto simulation =
      simulate(message.by_rank, costs_of(message.by_rank, of_work({{3, 1, 0}, {0, 1, 2}}, 0.5)), 2);
  const auto& first = simulation.steps[0];
  expect_times(first[0], {3, 3, 4, 4, 4});
  expect_times(first[1], {0, 0, 1, 3.5, 5.5});
  EXPECT_EQ(first[0].busy, seconds(4));
  EXPECT_EQ(first[0].idle(), seconds(0));
  EXPECT_EQ(first[1].busy, seconds(3));
  EXPECT_EQ(first[1].dependency, seconds(2));
  EXPECT_EQ(first[1].exposed_transfer, seconds(0.5));
  EXPECT_EQ(simulation.end_of(0), seconds(5.5));
  // The sender goes on at once: its second message starts at 7, the receive of it at 5.5.
  const auto& second = simulation.steps[1];
  expect_times(second[0], {7, 7, 8, 8, 8});
  expect_times(second[1], {5.5, 5.5, 6.5, 7.5, 9.5});
  EXPECT_EQ(second[1].dependency, seconds(0.5));
  EXPECT_EQ(second[1].exposed_transfer, seconds(0.5));
  EXPECT_EQ(simulation.makespan(), seconds(9.5));
}

TEST(Simulate, ASenderWaitsForALateReceiveUnlessSendsAreEager) {
  const OneMessage message;
  auto durations = of_work({{1, 1, 1}, {5, 1, 0}}, 0.25);
  const auto rendezvous = simulate(message.by_rank, costs_of(message.by_rank, durations), 1).steps[0];
  expect_times(rendezvous[0], {1, 1, 2, 5.25, 6.25});
  EXPECT_EQ(rendezvous[0].dependency, seconds(3));
  EXPECT_EQ(rendezvous[0].exposed_transfer, seconds(0.25));
  expect_times(rendezvous[1], {5, 5, 6, 6, 6});
  durations.eager = true;
  const auto eager = simulate(message.by_rank, costs_of(message.by_rank, durations), 1).steps[0];
  expect_times(eager[0], {1, 1, 2, 2, 3});
  EXPECT_EQ(eager[0].idle(), seconds(0));
  expect_times(eager[1], {5, 5, 6, 6, 6});
}

TEST(Simulate, ACollectiveWaitsForItsLastMember) {
  const topology::GridExtent grid{.data = 3};
  const auto program = around(grid, {.operation = Operation::all_reduce, .axis = Axis::data});
  const step::ProgramsByRank all(3, &program);
  const auto step = simulate(all, costs_of(all, of_work({{1, 0, 0}, {2, 2.5, 0}, {4, 0, 1}}, 1)), 1).steps[0];
  expect_times(step[0], {1, 1, 1, 5, 5});
  EXPECT_EQ(step[0].straggler, seconds(3));
  EXPECT_EQ(step[0].exposed_transfer, seconds(1));
  expect_times(step[1], {2, 2, 4.5, 5, 5});
  EXPECT_EQ(step[1].straggler, seconds(0));
  EXPECT_EQ(step[1].exposed_transfer, seconds(0.5));
  expect_times(step[2], {4, 4, 4, 5, 6});
  EXPECT_EQ(step[2].exposed_transfer, seconds(1));
}

TEST(Simulate, GroupsOfAnAxisDoNotWaitForEachOther) {
  const topology::GridExtent grid{.data = 2, .tensor = 2};  // tensor groups {0, 1} and {2, 3}
  const auto program = around(grid, {.operation = Operation::all_reduce, .axis = Axis::tensor});
  const step::ProgramsByRank all(4, &program);
  const auto step =
      simulate(all, costs_of(all, of_work({{1, 0, 0}, {2, 0, 0}, {10, 0, 0}, {20, 0, 0}}, 0)), 1).steps[0];
  expect_times(step[0], {1, 1, 1, 2, 2});
  expect_times(step[1], {2, 2, 2, 2, 2});
  expect_times(step[2], {10, 10, 10, 20, 20});
}

/// Spans follow each other without gaps, and phases add up to them, on a hybrid grid with all kinds of costs.
TEST(Simulate, EverySecondIsBusyOrIdle) {
  const auto model = model_of("6", {"linear 7 placement=column", "linear 5 placement=row", "relu",
                                    "linear 6 placement=batch", "linear 3"});
  const auto plan =
      plan_of(model, {.grid = {.data = 2, .pipeline = 2, .tensor = 3}, .pipeline = {.microbatches = 3}});
  const auto grid = programs_of(model, plan);
  auto costs = costs_of(grid.by_rank, {.instruction =
                                           [](int rank, const step::Instruction& i) {
                                             return 1000 + 100 * rank + (i.unit ? i.unit->value() : -1);
                                           },
                                       .transfer =
                                           [](int rank, const step::Transfer& t) {
                                             return Picoseconds(200) * rank + 10 * t.tag.value_or(0);
                                           }});
  costs.core = {.start = 3, .wait = 5, .poll = 7, .step = 11};
  for (const auto progress : {machine::Progress::independent, machine::Progress::polled}) {
    costs.core.progress = progress;
    const auto simulation = simulate(grid.by_rank, costs, 3);
    for (std::size_t r = 0; r < grid.by_rank.size(); ++r) {
      Picoseconds now = 0;
      for (const auto& step : simulation.steps) {
        EXPECT_EQ(step[r].begin, now);
        Picoseconds between = 0;
        for (const auto& span : step[r].instructions) {
          between += span.begin - now;
          now = span.end;
        }
        between += step[r].end - now;
        EXPECT_TRUE(between == 0 || progress == machine::Progress::polled);
        EXPECT_EQ(step[r].busy + step[r].progress + step[r].idle(), step[r].end - step[r].begin);
        now = step[r].end + costs.core.step;
      }
    }
  }
}

TEST(Simulate, ProgramsThatDeadlockAreRefused) {
  const OneMessage message;
  const step::ProgramsByRank both(2, &message.receiver);
  EXPECT_THROW(simulate(both, costs_of(both, of_work({{1, 1, 1}, {1, 1, 1}}, 0)), 1), base::ContractError);
}

TEST(Simulate, FiveHundredRanksTakeLittleTime) {
  const auto model = equal_layers(24);
  const auto plan =
      plan_of(model, {.grid = {.data = 16, .pipeline = 8, .tensor = 4},
                      .pipeline = {.schedule = step::Schedule::one_f_one_b, .microbatches = 32}});
  const auto grid = programs_of(model, plan);
  const double begin = base::now_seconds();
  const auto simulation =
      simulate(grid.by_rank,
               costs_of(grid.by_rank,
                        {.instruction = [](int, const step::Instruction&) { return Picoseconds(1'000'000); },
                         .transfer = [](int, const step::Transfer&) { return Picoseconds(100'000); }}),
               3);
  std::printf("%zu ranks x %zu instructions x 3 steps: %.0f ms\n", grid.by_rank.size(),
              grid.by_rank.front()->instructions.size(), 1e3 * (base::now_seconds() - begin));
  EXPECT_GT(simulation.idle_fraction(), 0);
}

}  // namespace
}  // namespace partita::sim
