/// Jobs whose ranks are of several machines: times worked out by hand, and those of each machine alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "grid_programs.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {
namespace {

using collective::Algorithm;
using machine::Machine;
using machine::Progress;
using step::Kind;

/// A second a message and a byte.
Machine slow_links() { return {.link_latency_seconds = 1, .link_bytes_per_second = 1}; }

/// Two ranks that add up `elements` floats while each computes, or does not.
struct Sum {
  explicit Sum(Algorithm algorithm, int elements, bool computes)
      : program{.grid = {.data = 2},
                .slots = {{.fixed = step::Elements(elements), .in_window = true}},
                .transfers = {{.slot = step::SlotId(0)}},
                .all_reduces = {.algorithm = algorithm},
                .instructions = {{.kind = Kind::start, .transfer = step::TransferId(0)}}} {
    if (computes) program.instructions.push_back({.kind = Kind::forward});
    program.instructions.push_back({.kind = Kind::wait, .transfer = step::TransferId(0)});
  }
  [[nodiscard]] Simulation on(const Machine& machine, Depth depth = Depth::full) const {
    auto costs = costs_on(machine, programs, 1, {});
    costs.instruction = [](int, const step::Instruction&) { return seconds(100); };
    return simulate(programs, costs, 2, {.depth = depth});
  }
  step::Program program;
  const step::ProgramsByRank programs{2, &program};
};

/// Nine floats each way. The first rank starts at once, the second after five seconds, and adds up twice as
/// fast.
TEST(Parts, HaveOverheadsAndAdditionsOfTheirOwn) {
  auto machine = slow_links();
  machine.windows = {{.load_byte_seconds = 0.5}};
  Machine other{.windows = {{.load_byte_seconds = 0.25}},
                .overheads = {.start_seconds = 5, .wait_seconds = 7, .step_seconds = 11}};
  machine.parts = {{.first = 1, .last = 1, .machine = other}};
  const Sum sum(Algorithm::recursive_doubling, 9, false);
  for (const auto depth : {Depth::full, Depth::plane, Depth::classes}) {
    const auto steps = sum.on(machine, depth).steps;
    EXPECT_EQ(steps[0][0].end, seconds(5 + 37 + 18)) << to_string(depth);
    EXPECT_EQ(steps[0][1].end, seconds(37 + 9 + 7)) << to_string(depth);
    EXPECT_EQ(steps[1][0].begin, steps[0][0].end);
    EXPECT_EQ(steps[1][1].begin, steps[0][1].end + seconds(11));
  }
}

/// Each loads 8 bytes and stores 4 of the other's. Flags are the machine's, whoever sets them.
TEST(Parts, AccessWindowsAsTheirOwnRowsSay) {
  auto machine = slow_links();
  machine.windows = {{.load_byte_seconds = 1, .store_byte_seconds = 2}};
  machine.flag_seconds = 3;
  const Sum sum(Algorithm::window, 2, false);
  const auto alike = sum.on(machine).steps[0];
  machine.parts = {{.first = 1, .last = 1, .machine = Machine()}};
  EXPECT_EQ(sum.on(machine).steps[0], alike) << "the part says nothing of windows";
  machine.parts[0].machine.windows = {{.load_byte_seconds = 10, .store_byte_seconds = 20}};
  machine.parts[0].machine.flag_seconds = 1000;
  for (const auto depth : {Depth::full, Depth::plane, Depth::classes}) {
    const auto steps = sum.on(machine, depth).steps;
    EXPECT_EQ(steps[0][1].end, seconds(3 + 160)) << to_string(depth);
    EXPECT_EQ(steps[0][0].end, seconds(3 + 160 + 3)) << "waits for the other's stores, " << to_string(depth);
  }
}

/// A ring of two: a rank that polls enters the second round when it has computed, the other one at once.
TEST(Parts, MoveTransfersOnInTheirOwnWay) {
  auto machine = slow_links();
  const Sum sum(Algorithm::ring, 2, true);
  const auto ends = [&] {
    const auto step = sum.on(machine).steps[0];
    return std::vector{step[0].end, step[1].end};
  };
  EXPECT_EQ(ends(), (std::vector{seconds(100), seconds(100)}));
  machine.parts = {{.first = 1, .last = 1, .machine = slow_links()}};
  machine.progress = Progress::polled;
  EXPECT_EQ(ends(), (std::vector{seconds(100), seconds(105)}));
  std::swap(machine.progress, machine.parts[0].machine.progress);
  EXPECT_EQ(ends(), (std::vector{seconds(105), seconds(100)}));
  EXPECT_TRUE(sum.on(machine, Depth::plane).left_out.polling);
}

step::Roles training(int data) {
  const auto model = model_of("12", {"linear 7", "tanh", "linear 5"});
  return programs_of(model, plan_of(model, {.grid = {.data = data}, .batch = 6 * data}));
}

TEST(Parts, ComputeAsTheirMachineDoesAlone) {
  const auto grid = training(2);
  auto machine = Machine::shipped(), other = machine;
  other.flops_per_second /= 3, other.main_bytes_per_second /= 7, other.call_seconds = 1e-6;
  other.kernels.push_back(
      {.key =
           {.implementation = "cpu", .kernel = "tanh", .phase = "forward", .type = "float32", .shape = {42}},
       .runs = 1,
       .median_seconds = 5e-3});
  const auto own = costs_on(machine, grid.by_rank, 12, {});
  machine.parts = {{.first = 1, .last = 1, .machine = other}};
  const auto both = costs_on(machine, grid.by_rank, 12, {});
  const auto others = costs_on(other, grid.by_rank, 12, {});
  std::set<Picoseconds> times;
  for (const auto& i : grid.by_rank[1]->instructions) {
    if (i.kind == Kind::start || i.kind == Kind::wait) continue;
    EXPECT_EQ(both.instruction(0, i), own.instruction(0, i));
    EXPECT_EQ(both.instruction(1, i), others.instruction(1, i));
    times.insert(both.instruction(1, i));
  }
  EXPECT_TRUE(times.contains(5'000'000'000)) << "measured there";
}

/// Half of 128 ranks, twice as slow: two classes where all were one, with the times of every rank.
TEST(Parts, AreClassesOfTheirOwn) {
  const auto model = equal_layers(2);
  const auto plan = plan_of(model, {.grid = {.data = 128}, .batch = 128});
  const auto grid = programs_of(model, plan, false);
  auto machine = Machine::shipped();
  const auto count = [&] {
    const auto costs = costs_on(machine, grid.by_rank, 128, {});
    const auto simulation = simulate(grid.by_rank, costs, 2, {.depth = Depth::automatic});
    EXPECT_EQ(simulation.steps, simulate(grid.by_rank, costs, 2, {.depth = Depth::plane}).steps);
    EXPECT_EQ(simulation.depth, Depth::classes);
    return 1 + *std::ranges::max_element(simulation.class_of);
  };
  const int one = count();
  machine.parts = {{.first = 64, .last = 127, .machine = Machine::shipped()}};
  machine.parts[0].machine.flops_per_second /= 2;
  EXPECT_EQ(count(), 2 * one);
}

/// A part that is like the others changes nothing, in any mode of progress.
TEST(Parts, ThatAreAlikeChangeNothing) {
  const auto grid = training(5);
  for (const auto progress : {Progress::independent, Progress::polled}) {
    auto machine = Machine::shipped();
    machine.progress = progress;
    machine.overheads = {.start_seconds = 1e-7, .wait_seconds = 2e-7, .poll_seconds = 3e-7};
    const auto alone = simulate(grid.by_rank, costs_on(machine, grid.by_rank, 30, {}), 3);
    auto parted = machine;
    parted.parts = {{.first = 0, .last = 1, .machine = machine}, {.first = 3, .last = 9, .machine = machine}};
    const auto both = simulate(grid.by_rank, costs_on(parted, grid.by_rank, 30, {}), 3);
    EXPECT_EQ(both.steps, alone.steps);
    EXPECT_EQ(both.critical_path, alone.critical_path);
  }
}

}  // namespace
}  // namespace partita::sim
