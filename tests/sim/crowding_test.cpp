/// Ranks that share cores, worked out by hand, and what holds for all trainings.
#include <gtest/gtest.h>

#include "partita/machine/transfer_times.hpp"
#include "partita/sim/simulate.hpp"
#include "random_grids.hpp"

namespace partita::sim {
namespace {

using collective::Algorithm;
using collective::Operation;
using step::Kind;

/// Two ranks a node; a core takes a second to send and one to receive, a float one on its way or in a window.
machine::Machine two_a_node() {
  const machine::Protocol protocol{
      .send_seconds = 1, .latency_seconds = 4, .byte_seconds = 0.25, .receive_seconds = 1};
  machine::Machine machine;
  machine.levels = {{.name = "node", .ranks = 2, .protocols = {protocol}},
                    {.name = "cluster", .protocols = {protocol}}};
  machine.windows = {{.stage_byte_seconds = 0.25, .load_byte_seconds = 0.25, .store_byte_seconds = 0.25}};
  machine.flag_seconds = 8;
  machine.overheads = {.start_seconds = 1, .wait_seconds = 2, .poll_seconds = 3, .step_seconds = 4};
  machine.cores = {.number = 1, .yield_seconds = 0.5};
  return machine;
}

/// One float from the first of four ranks.
TimedMessages message_to(const machine::Machine& machine, int to, double crowding) {
  const step::Program program{.grid = {.pipeline = 4},
                              .slots = {{.fixed = step::Elements(1)}},
                              .transfers = {{.operation = Operation::send,
                                             .axis = topology::Axis::pipeline,
                                             .slot = step::SlotId(0),
                                             .peer = to}}};
  const step::ProgramsByRank programs(4, &program);
  const auto costs = costs_on(machine, programs, 1, {}, {.crowding = crowding});
  return std::get<TimedMessages>(costs.rounds(0, program.transfers.front()).at(0));
}

TEST(Crowding, CoresTakeLongerForMessagesAndWhatIsOnItsWayBetweenNodesDoesNot) {
  const auto machine = two_a_node();
  for (const int to : {1, 2}) {
    const auto alone = message_to(machine, to, 1).sent, crowded = message_to(machine, to, 3).sent;
    EXPECT_EQ(alone.send, seconds(1));
    EXPECT_EQ(alone.latency, seconds(4));
    EXPECT_EQ(alone.bytes, seconds(1));
    EXPECT_EQ(crowded.send, seconds(3));
    EXPECT_EQ(crowded.receive, seconds(3));
    EXPECT_EQ(crowded.latency, seconds(4 + 2 * 0.5)) << "two others have the core before";
    EXPECT_EQ(crowded.bytes, seconds(to == 1 ? 3 : 1)) << "within a node a core copies them";
  }
}

/// Of two floats on two data ranks.
step::Program all_reduce_by(Algorithm algorithm) {
  return {.grid = {.data = 2},
          .slots = {{.fixed = step::Elements(2)}},
          .transfers = {{.slot = step::SlotId(0)}},
          .all_reduces = {.algorithm = algorithm}};
}

TEST(Crowding, WindowsAndOverheadsAreOfTheCore) {
  const auto machine = two_a_node();
  const auto program = all_reduce_by(Algorithm::window);
  const step::ProgramsByRank programs(2, &program);
  const auto of = [&](double crowding) {
    const auto costs = costs_on(machine, programs, 1, {}, {.crowding = crowding});
    return std::pair(costs.core_of(0),
                     std::get<TimedAccess>(costs.rounds(0, program.transfers.front()).at(0)).time);
  };
  const auto [core, access] = of(1);
  const auto [crowded_core, crowded] = of(2);
  EXPECT_EQ(core.start, seconds(1));
  for (auto overhead : {&Core::start, &Core::wait, &Core::poll, &Core::step})
    EXPECT_EQ(crowded_core.*overhead, 2 * (core.*overhead));
  EXPECT_GT(access.stage, 0) << "the buffer does not lie in the window";
  EXPECT_GT(access.access, 0);
  EXPECT_EQ(crowded.access, 2 * access.access);
  EXPECT_EQ(crowded.stage, 2 * access.stage);
  EXPECT_EQ(crowded.flag, access.flag + seconds(0.5));
}

/// At a FLOP a second: the forward pass of eight samples by one weight; half a second to add a byte.
TEST(Crowding, AKernelTakesAsManyTimesAsLongAndSoDoesAnAddition) {
  const machine::Machine machine{
      .flops_per_second = 1, .main_bytes_per_second = 1, .windows = {{.load_byte_seconds = 0.5}}};
  const auto model = model_of("1", {"linear 1 bias=false"});
  const auto grid = programs_of(model, plan_of(model, {.batch = 8}));
  const auto alone = costs_on(machine, grid.by_rank, 8, {});
  const auto crowded = costs_on(machine, grid.by_rank, 8, {}, {.crowding = 2.5});
  for (const auto& instruction : grid.by_rank[0]->instructions)
    if (instruction.kind == Kind::forward) {
      EXPECT_EQ(alone.instruction(0, instruction), seconds(2 * 8));
      EXPECT_EQ(crowded.instruction(0, instruction), seconds(2.5 * 2 * 8));
    }
  const auto add = [&](double crowding) {
    return machine::TransferTimes(machine, crowding).combine(kernels::Bytes(4), 0);
  };
  EXPECT_EQ(add(1), seconds(2));
  EXPECT_EQ(add(2.5), seconds(5));
}

/// The library's own all-reduce counts as one message; without levels all ranks are of one node.
TEST(Crowding, WhatALibraryDoesIsOneMessage) {
  const machine::Machine machine{
      .link_latency_seconds = 1, .link_bytes_per_second = 1, .cores = {.number = 1, .yield_seconds = 0.5}};
  const auto program = all_reduce_by(Algorithm::mpi);
  const step::ProgramsByRank programs(2, &program);
  const auto duration = [&](double crowding) {
    const auto costs = costs_on(machine, programs, 1, {}, {.crowding = crowding});
    return std::get<TimedWhole>(costs.rounds(0, program.transfers.front()).at(0)).duration;
  };
  const auto bytes = duration(1) - seconds(1);
  EXPECT_GT(bytes, 0);
  EXPECT_EQ(duration(2), seconds(1 + 0.5) + 2 * bytes);
}

/// A drawn training whose ranks have 1 ÷ `crowding` of a core each.
struct Drawn {
  explicit Drawn(std::uint64_t seed)
      : g(GridDraw(seed).draw(24)), grid(programs_of(g.chain.model, plan_of(g.chain.model, g.request))) {
    g.machine.cores.yield_seconds = 1e-6;
  }
  [[nodiscard]] Simulation with(double crowding, Depth depth = Depth::full) const {
    auto costs = costs_on(g.machine, grid.by_rank, g.chain.batch, g.site, {.crowding = crowding});
    if (!g.speed.empty()) costs = with_speeds(costs, g.speed);
    return simulate(grid.by_rank, costs, 3, {.depth = depth});
  }
  RandomGrid g;
  step::Roles grid;
};

TEST(Crowding, ACrowdedNodeIsSlowerAndAllDepthsAgree) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Drawn drawn(9000 + seed);
    SCOPED_TRACE(drawn.g.name());
    Picoseconds before = 0;
    for (const double crowding : {1.0, 1.5, 4.0}) {
      const auto full = drawn.with(crowding);
      ASSERT_GT(full.makespan(), before) << crowding;
      before = full.makespan();
      for (const auto depth : {Depth::plane, Depth::classes})
        for (int step = 0; step < 3; ++step)
          ASSERT_EQ(drawn.with(crowding, depth).end_of(step), full.end_of(step)) << crowding;
    }
  }
}

}  // namespace
}  // namespace partita::sim
