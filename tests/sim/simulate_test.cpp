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

Costs costs_of(std::vector<std::vector<double>> work, double transfer_seconds) {
  return {.instruction_seconds =
              [work = std::move(work)](int rank, const step::Instruction& i) {
                return work[static_cast<std::size_t>(rank)][i.microbatch->index()];
              },
          .transfer_seconds = [=](int, const step::Transfer&) { return transfer_seconds; }};
}

struct Message {
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
    EXPECT_DOUBLE_EQ(rank.instructions[i].end_seconds, ends[i]) << i;
}

TEST(Simulate, AReceiverWaitsForTheSenderThenForTheData) {
  const Message message;
  const auto simulation = simulate(message.by_rank, costs_of({{3, 1, 0}, {0, 1, 2}}, 0.5), 2);
  const auto& first = simulation.steps[0];
  expect_times(first[0], {3, 3, 4, 4, 4});
  expect_times(first[1], {0, 0, 1, 3.5, 5.5});
  EXPECT_DOUBLE_EQ(first[0].busy_seconds, 4);
  EXPECT_DOUBLE_EQ(first[0].idle_seconds(), 0);
  EXPECT_DOUBLE_EQ(first[1].busy_seconds, 3);
  EXPECT_DOUBLE_EQ(first[1].dependency_seconds, 2);
  EXPECT_DOUBLE_EQ(first[1].exposed_transfer_seconds, 0.5);
  EXPECT_DOUBLE_EQ(simulation.end_seconds(0), 5.5);
  // The sender goes on at once: its second message starts at 7, the receive of it at 5.5.
  const auto& second = simulation.steps[1];
  expect_times(second[0], {7, 7, 8, 8, 8});
  expect_times(second[1], {5.5, 5.5, 6.5, 7.5, 9.5});
  EXPECT_DOUBLE_EQ(second[1].dependency_seconds, 0.5);
  EXPECT_DOUBLE_EQ(second[1].exposed_transfer_seconds, 0.5);
  EXPECT_DOUBLE_EQ(simulation.makespan_seconds(), 9.5);
}

TEST(Simulate, ASenderWaitsForALateReceiveUnlessSendsAreEager) {
  const Message message;
  auto costs = costs_of({{1, 1, 1}, {5, 1, 0}}, 0.25);
  const auto rendezvous = simulate(message.by_rank, costs, 1).steps[0];
  expect_times(rendezvous[0], {1, 1, 2, 5.25, 6.25});
  EXPECT_DOUBLE_EQ(rendezvous[0].dependency_seconds, 3);
  EXPECT_DOUBLE_EQ(rendezvous[0].exposed_transfer_seconds, 0.25);
  expect_times(rendezvous[1], {5, 5, 6, 6, 6});
  costs.eager_sends = true;
  const auto eager = simulate(message.by_rank, costs, 1).steps[0];
  expect_times(eager[0], {1, 1, 2, 2, 3});
  EXPECT_DOUBLE_EQ(eager[0].idle_seconds(), 0);
  expect_times(eager[1], {5, 5, 6, 6, 6});
}

TEST(Simulate, ACollectiveWaitsForItsLastMember) {
  const topology::GridExtent grid{.data = 3};
  const auto program = around(grid, {.operation = Operation::all_reduce, .axis = Axis::data});
  const auto step =
      simulate({&program, &program, &program}, costs_of({{1, 0, 0}, {2, 2.5, 0}, {4, 0, 1}}, 1), 1).steps[0];
  expect_times(step[0], {1, 1, 1, 5, 5});
  EXPECT_DOUBLE_EQ(step[0].straggler_seconds, 3);
  EXPECT_DOUBLE_EQ(step[0].exposed_transfer_seconds, 1);
  expect_times(step[1], {2, 2, 4.5, 5, 5});
  EXPECT_DOUBLE_EQ(step[1].straggler_seconds, 0);
  EXPECT_DOUBLE_EQ(step[1].exposed_transfer_seconds, 0.5);
  expect_times(step[2], {4, 4, 4, 5, 6});
  EXPECT_DOUBLE_EQ(step[2].exposed_transfer_seconds, 1);
}

TEST(Simulate, GroupsOfAnAxisDoNotWaitForEachOther) {
  const topology::GridExtent grid{.data = 2, .tensor = 2};  // tensor groups {0, 1} and {2, 3}
  const auto program = around(grid, {.operation = Operation::all_reduce, .axis = Axis::tensor});
  const auto step = simulate({&program, &program, &program, &program},
                             costs_of({{1, 0, 0}, {2, 0, 0}, {10, 0, 0}, {20, 0, 0}}, 0), 1)
                        .steps[0];
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
  const Costs costs{
      .instruction_seconds =
          [](int rank, const step::Instruction& i) {
            return 1 + 0.1 * rank + (i.unit ? i.unit->value() : -1);
          },
      .transfer_seconds = [](int rank,
                             const step::Transfer& t) { return 0.2 * rank + 0.01 * t.tag.value_or(-1); }};
  const auto simulation = simulate(grid.by_rank, costs, 3);
  for (std::size_t r = 0; r < grid.by_rank.size(); ++r) {
    double now = 0;
    for (const auto& step : simulation.steps) {
      const double begin = now;
      for (const auto& span : step[r].instructions) {
        EXPECT_EQ(span.begin_seconds, now);
        now = span.end_seconds;
      }
      EXPECT_NEAR(step[r].busy_seconds + step[r].idle_seconds(), now - begin, 1e-9);
    }
  }
}

TEST(Simulate, ProgramsThatDeadlockAreRefused) {
  const Message message;
  EXPECT_THROW(simulate({&message.receiver, &message.receiver}, costs_of({{1, 1, 1}, {1, 1, 1}}, 0), 1),
               base::ContractError);
}

TEST(Simulate, FiveHundredRanksTakeLittleTime) {
  const auto model = equal_layers(24);
  const auto plan =
      plan_of(model, {.grid = {.data = 16, .pipeline = 8, .tensor = 4},
                      .pipeline = {.schedule = step::Schedule::one_f_one_b, .microbatches = 32}});
  const auto grid = programs_of(model, plan);
  const double begin = base::now_seconds();
  const auto simulation = simulate(grid.by_rank,
                                   {.instruction_seconds = [](int, const step::Instruction&) { return 1e-3; },
                                    .transfer_seconds = [](int, const step::Transfer&) { return 1e-4; }},
                                   3);
  std::printf("%zu ranks x %zu instructions x 3 steps: %.0f ms\n", grid.by_rank.size(),
              grid.by_rank.front()->instructions.size(), 1e3 * (base::now_seconds() - begin));
  EXPECT_GT(simulation.idle_fraction(), 0);
}

}  // namespace
}  // namespace partita::sim
