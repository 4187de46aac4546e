/// Kernels beside messages: which they are, and what they take.
#include "partita/cost/slowdown.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "../models.hpp"
#include "partita/cost/kernel_times.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"

namespace partita::cost {
namespace {

using step::Kind;

const std::vector<machine::Slowdown> both{{"products", "messages", 2}, {"others", "messages", 3}};

step::Program program_on(const topology::GridExtent& grid, int microbatches, const topology::Coordinate& at) {
  const auto model = tests::model_of("12", {"linear 8", "tanh", "linear 6", "tanh", "linear 4"});
  const auto plan = plan::choose(model, {.grid = grid,
                                         .batch = 8,
                                         .pipeline = {.microbatches = microbatches},
                                         .bucket_bytes = kernels::Bytes(64)});
  return step::build_training_program(model, plan, at, {});
}

/// Of what lies between the start of a gradient's sum and the wait for it; everything else is alone.
TEST(Slowdowns, AreOfKernelsBetweenStartAndWait) {
  const auto program = program_on({.data = 2}, 1, {});
  const auto factors = slowdowns_of(program, both);
  ASSERT_EQ(factors.size(), program.instructions.size());
  std::size_t first = factors.size(), last = 0;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.transfer ||
        program.transfers[*instruction.transfer].purpose != collective::Purpose::gradient)
      continue;
    if (instruction.kind == Kind::start) first = std::min(first, i);
    if (instruction.kind == Kind::wait) last = std::max(last, i);
  }
  ASSERT_LT(first + 1, last);
  int products = 0, others = 0;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (i <= first || i >= last) {
      EXPECT_EQ(factors[i], 1) << i;
    } else if (instruction.kind == Kind::backward) {
      const bool is_product = program.units[*instruction.unit].local.kind == model::LayerKind::linear;
      (is_product ? products : others) += 1;
      EXPECT_EQ(factors[i], is_product ? 2 : 3) << i;
    }
  }
  EXPECT_GT(products, 0);
  EXPECT_GT(others, 0);
}

/// A receive waits for what may not even have been computed: the last stage has only such before its first
/// gradient leaves.
TEST(Slowdowns, LeaveOutReceives) {
  const auto program = program_on({.pipeline = 2}, 2, {.pipeline = 1});
  const auto factors = slowdowns_of(program, both);
  int before = 0;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (instruction.kind == Kind::start &&
        program.transfers[*instruction.transfer].operation == collective::Operation::send)
      break;
    EXPECT_EQ(factors[i], 1) << i;
    before += instruction.kind == Kind::backward ? 1 : 0;
  }
  EXPECT_GT(before, 0);
}

TEST(Slowdowns, MultiplyTimesAndAreOneWhereNobodySaysThem) {
  const auto program = program_on({.data = 2}, 1, {});
  auto machine = machine::Machine::shipped();
  EXPECT_TRUE(slowdowns_of(program, machine.slowdowns).empty());
  const ProgramTimes alone(KernelTimes(machine), program, 8);
  machine.slowdowns = {both[0]};
  const ProgramTimes beside(KernelTimes(machine), program, 8);
  const auto factors = slowdowns_of(program, machine.slowdowns);
  int longer = 0;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (instruction.kind == Kind::start || instruction.kind == Kind::wait) continue;
    const auto factor = static_cast<machine::Picoseconds>(factors[i]);
    EXPECT_EQ(beside.of(instruction, 4).time, factor * alone.of(instruction, 4).time);
    longer += factor == 2 ? 1 : 0;
  }
  EXPECT_GT(longer, 0);
}

}  // namespace
}  // namespace partita::cost
