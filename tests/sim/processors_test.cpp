/// Ranks that share cores, worked out by hand, and what holds for all trainings.
#include <gtest/gtest.h>

#include <map>

#include "partita/sim/simulate.hpp"
#include "random_grids.hpp"

namespace partita::sim {
namespace {

using collective::Operation;
using machine::Progress;
using step::Kind;
using topology::Axis;

/// Ranks that tell each other nothing, of one kernel each.
struct Alone {
  explicit Alone(int ranks)
      : program{.grid = {.data = ranks}}, all(static_cast<std::size_t>(ranks), &program) {
    program.instructions = {{.kind = Kind::forward}};
  }
  [[nodiscard]] Simulation on(std::optional<SharedCores> cores, double work, int steps = 1) const {
    return simulate(all,
                    {.instruction = [=](int, const step::Instruction&) { return seconds(work); },
                     .rounds = {},
                     .shared_cores = cores},
                    steps);
  }
  step::Program program;
  step::ProgramsByRank all;
};

SharedCores cores_of(int node_ranks, int at_once, double slice, double yield = 0) {
  return {
      .node_ranks = node_ranks, .ranks_at_once = at_once, .yield = seconds(yield), .slice = seconds(slice)};
}

TEST(Processors, TwoRanksOnOneCoreTakeTwiceAsLong) {
  const Alone two(2);
  for (const double slice : {0.5, 1.0, 2.0}) {
    const auto shared = two.on(cores_of(2, 1, slice), 4, 3);
    for (int step = 0; step < 3; ++step)
      EXPECT_EQ(shared.end_of(step), 2 * two.on({}, 4, 3).end_of(step)) << slice;
  }
  EXPECT_TRUE(two.on(cores_of(2, 1, 1), 4).ranks_share_cores);
  EXPECT_FALSE(two.on({}, 4).ranks_share_cores);
}

TEST(Processors, ThreeRanksOnTwoCoresAreTakenInTurn) {
  const Alone three(3);
  EXPECT_EQ(three.on(cores_of(3, 2, 0.5), 3).makespan(), seconds(4.5)) << "9 seconds on two cores";
  EXPECT_EQ(three.on(cores_of(3, 2, 1), 3).makespan(), seconds(5)) << "the last slice is one rank's";
  EXPECT_EQ(three.on(cores_of(3, 2, 10), 3).makespan(), seconds(9)) << "after two steps of the others";
}

TEST(Processors, EveryCoreThatIsGotTakesAYield) {
  const Alone two(2);
  // Four slices of a second, each after a yield; both ranks have two.
  const auto step = two.on(cores_of(2, 1, 1, 0.25), 2).steps[0];
  EXPECT_EQ(std::max(step[0].end, step[1].end), seconds(5));
  EXPECT_EQ(std::min(step[0].end, step[1].end), seconds(3.75));
}

TEST(Processors, ANodeWithAsManyCoresAsRanksSharesNothing) {
  // Nodes of two ranks with a core each node; the last has one rank.
  const auto step = Alone(3).on(cores_of(2, 1, 1, 0.25), 2).steps[0];
  EXPECT_EQ(step[2].end, seconds(2));
  EXPECT_EQ(std::max(step[0].end, step[1].end), seconds(5));
}

/// A message from stage 0 to stage 1, which computes for `before` seconds, then waits for it.
struct Message {
  static step::Program program(int rank) {
    return {.grid = {.pipeline = 2},
            .at = {.pipeline = rank},
            .transfers = {{.operation = rank == 0 ? Operation::send : Operation::receive,
                           .axis = Axis::pipeline,
                           .peer = 1 - rank}},
            .instructions = {{.kind = Kind::forward, .microbatch = step::MicrobatchId(0)},
                             {.kind = Kind::start, .transfer = step::TransferId(0)},
                             {.kind = Kind::forward, .microbatch = step::MicrobatchId(1)},
                             {.kind = Kind::wait, .transfer = step::TransferId(0)}}};
  }
  [[nodiscard]] Simulation on(const SharedCores& cores, Progress progress) const {
    auto costs = costs_of(by_rank, {.instruction =
                                        [](int rank, const step::Instruction& i) {
                                          constexpr double work[2][2] = {{3, 4}, {2, 0}};
                                          return seconds(work[rank][i.microbatch->value()]);
                                        },
                                    .transfer = [](int, const step::Transfer&) { return seconds(0.5); },
                                    .eager = true});
    costs.shared_cores = cores;
    costs.core.progress = progress;
    return simulate(by_rank, costs, 1);
  }
  step::Program sender = program(0), receiver = program(1);
  step::ProgramsByRank by_rank{&sender, &receiver};
};

TEST(Processors, WhoWaitsLeavesItsCoreAndStandsInLineForIt) {
  for (const auto progress : {Progress::independent, Progress::polled}) {
    // The receiver comes first and waits from 2.25 on; the sender has the core from 2.5 to 9.5, its message
    // is there at 6.
    const auto long_slices = Message().on(cores_of(2, 1, 7, 0.25), progress);
    const auto& [sender, receiver] = std::pair(long_slices.steps[0][0], long_slices.steps[0][1]);
    EXPECT_EQ(sender.end, seconds(9.5));
    EXPECT_EQ(receiver.end, seconds(9.75));
    EXPECT_EQ(receiver.busy, seconds(2));
    EXPECT_EQ(receiver.idle(), seconds(7.5)) << "from 2.25 on";
    EXPECT_EQ(sender.busy, seconds(7));
    // A slice of five seconds is over at 7.5. The receiver goes on with its next step until 9.75.
    const auto short_slices = Message().on(cores_of(2, 1, 5, 0.25), progress).steps[0];
    EXPECT_EQ(short_slices[1].end, seconds(7.75));
    EXPECT_EQ(short_slices[0].end, seconds(10 + 2));
    EXPECT_EQ(short_slices[0].busy, seconds(9.5)) << "the time without a core is the kernel's";
  }
}

TEST(Processors, ThePathOfAStepCrossesTheTimeWithoutACore) {
  for (const auto progress : {Progress::independent, Progress::polled}) {
    const auto path = Message().on(cores_of(2, 1, 7, 0.25), progress).critical_path;
    const std::vector<std::pair<Cause, double>> expected{
        {Cause::core, 2.5}, {Cause::kernel, 3}, {Cause::bytes, 0.5}, {Cause::core, 3.75}};
    ASSERT_EQ(path.size(), expected.size());
    for (std::size_t i = 0; i < path.size(); ++i) {
      EXPECT_EQ(path[i].cause, expected[i].first) << i;
      EXPECT_EQ(path[i].duration(), seconds(expected[i].second)) << i;
      EXPECT_EQ(path[i].rank, i + 1 == path.size() ? 1 : 0) << i;
    }
  }
}

/// Two ranks that compute for three seconds and for two, then wait together for half of one, on a core that
/// is handed on at once. Who finds it free waits for no core then, and for nothing but the core later.
TEST(Processors, ACoreThatWasFreeIsNotWaitedForLater) {
  const step::Program program{.grid = {.data = 2},
                              .slots = {{.fixed = step::Elements(1)}},
                              .transfers = {{.slot = step::SlotId(0)}},
                              .instructions = {{.kind = Kind::forward},
                                               {.kind = Kind::start, .transfer = step::TransferId(0)},
                                               {.kind = Kind::wait, .transfer = step::TransferId(0)}}};
  const step::ProgramsByRank both(2, &program);
  for (const auto progress : {Progress::independent, Progress::polled}) {
    const auto rounds = [](int, const step::Transfer&) {
      return std::vector<TimedRound>{TimedWhole{seconds(0.5)}};
    };
    const auto simulation =
        simulate(both,
                 {.instruction = [](int rank, const auto&) { return seconds(rank == 0 ? 3 : 2); },
                  .rounds = rounds,
                  .core = {.progress = progress},
                  .shared_cores = cores_of(2, 1, 1)},
                 3);
    ASSERT_EQ(simulation.step_duration(), seconds(5.5));
    std::map<Cause, Picoseconds> path;
    for (const auto& piece : simulation.critical_path)
      path[piece.cause] += piece.duration();
    EXPECT_EQ(path[Cause::whole], seconds(0.5));
    EXPECT_EQ(path[Cause::kernel] + path[Cause::core], seconds(5)) << "of one rank, and without its core";
    EXPECT_GE(path[Cause::kernel], seconds(2));
    EXPECT_GE(path[Cause::core], seconds(2));
  }
}

/// A drawn training on nodes of so many cores, and on such without a number.
struct Drawn {
  explicit Drawn(std::uint64_t seed)
      : g(GridDraw(seed).draw(24)), grid(programs_of(g.chain.model, plan_of(g.chain.model, g.request))) {
    g.machine.progress = seed % 2 == 0 ? Progress::independent : Progress::polled;
    g.machine.overheads.poll_seconds = 1.7e-8;
  }
  [[nodiscard]] std::int64_t node_ranks() const { return g.machine.ranks_of_node(std::ssize(grid.by_rank)); }
  [[nodiscard]] Simulation on(int cores, Depth depth = Depth::full) {
    g.machine.cores = {.number = cores, .yield_seconds = 1e-6, .slices_per_second = 1e4};
    return simulate(grid.by_rank, costs_on(g.machine, grid.by_rank, g.chain.batch, g.site), 3,
                    {.depth = depth});
  }
  RandomGrid g;
  step::Roles grid;
};

TEST(Processors, RanksWithCoresOfTheirOwnAreAsTheyWere) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Drawn drawn(seed);
    const auto without = drawn.on(0), enough = drawn.on(static_cast<int>(drawn.node_ranks()));
    EXPECT_EQ(without.steps, enough.steps) << drawn.g.name();
    EXPECT_EQ(without.critical_path, enough.critical_path);
    EXPECT_FALSE(enough.ranks_share_cores);
  }
}

TEST(Processors, TimeIsSpentOnceAndNothingEndsSoonerThanOnCoresOfItsOwn) {
  std::size_t later = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Drawn drawn(seed);
    if (drawn.node_ranks() < 2) continue;
    SCOPED_TRACE(drawn.g.name());
    const auto shared = drawn.on(static_cast<int>((drawn.node_ranks() + 1) / 2));
    const auto loose = drawn.on(0, Depth::plane);
    for (std::size_t s = 0; s < 3; ++s)
      for (std::size_t r = 0; r < shared.steps[s].size(); ++r) {
        const auto& rank = shared.steps[s][r];
        ASSERT_EQ(rank.busy + rank.progress + rank.idle(), rank.end - rank.begin) << s << " " << r;
        ASSERT_LE(loose.steps[s][r].end, rank.end) << s << " " << r;
        later += loose.steps[s][r].end < rank.end;
      }
    Picoseconds path = 0;
    for (const auto& piece : shared.critical_path)
      path += piece.duration();
    ASSERT_EQ(path, shared.step_duration());
  }
  EXPECT_GT(later, 500U);
}

TEST(Processors, AreNoMoreOfAMachineThanFullDepthKnows) {
  Drawn drawn(1);
  ASSERT_GE(drawn.node_ranks(), 2);
  const auto loose = drawn.on(1, Depth::plane);
  EXPECT_TRUE(loose.left_out.cores);
  EXPECT_TRUE(loose.ranks_share_cores);
  EXPECT_FALSE(drawn.on(1).left_out.any());
  const auto model = equal_layers(2);
  const auto simulated = [&](int ranks, int cores) {
    const auto grid = programs_of(model, plan_of(model, {.grid = {.data = ranks}, .batch = ranks}));
    auto machine = machine::Machine::shipped();
    machine.cores.number = cores;
    return simulate(grid.by_rank, costs_on(machine, grid.by_rank, ranks, {}), 1, {.depth = Depth::automatic});
  };
  EXPECT_EQ(simulated(65, 65).depth, Depth::classes);
  EXPECT_EQ(simulated(65, 64).depth, Depth::full);
  EXPECT_TRUE(simulated(4097, 64).left_out.cores);
}

/// Where all ranks do the same.
TEST(Processors, MoreCoresMakeDataParallelismNoSlower) {
  const auto model = equal_layers(3);
  for (const auto progress : {Progress::independent, Progress::polled}) {
    const auto grid = programs_of(model, plan_of(model, {.grid = {.data = 8}, .batch = 16}));
    auto machine = machine::Machine::shipped();
    machine.progress = progress;
    machine.call_seconds = 1e-4;
    Picoseconds before = 0;
    for (int cores = 8; cores > 0; --cores) {
      machine.cores = {.number = cores, .yield_seconds = 1e-6};
      const auto now = simulate(grid.by_rank, costs_on(machine, grid.by_rank, 16, {}), 4).step_duration();
      EXPECT_GE(now, before) << cores;
      before = now;
    }
  }
}

}  // namespace
}  // namespace partita::sim
