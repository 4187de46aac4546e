/// Programs can be executed: every part of a slot that an instruction touches lies in it, on every rank. And
/// programs that were broken on purpose are told from those.
#include "partita/step/check.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "../models.hpp"
#include "partita/step/build.hpp"
#include "random_chains.hpp"

namespace partita::step {
namespace {

using tests::model_of;

Roles roles_of(const model::ModelSpec& model, const plan::Request& request, const TensorFormat& format,
               bool training) {
  const auto split = plan::choose(model, request);
  const auto build = training ? build_training_program : build_evaluation_program;
  return {request.grid, [&](const topology::Coordinate& role) { return build(model, split, role, format); }};
}

std::string lines(const std::vector<std::string>& faults) {
  std::string text;
  for (const auto& fault : faults)
    text += "\n  " + fault;
  return text;
}

/// Pieces for the windows of others are more than a share of the samples: what overlaps is sent twice.
TEST(Check, MessagesHoldTheOverlappingWindowsOfAllOthers) {
  const auto model = model_of(
      "1x3x4", {"relu placement=batch", "maxpool 2 stride=1 placement=height", "flatten", "linear 5"});
  const auto grid = roles_of(model, {.grid = {.tensor = 3}, .batch = 3}, {}, true);
  EXPECT_EQ(lines(faults_of(grid.by_rank, model, 3)), "");
  for (const auto& program : grid.programs)
    for (const auto& t : program.transfers) {
      if (t.purpose != collective::Purpose::halo) continue;
      // Of one sample a rank: rows [0, 2) to the second rank and [1, 3) to the third, the first has no
      // output.
      const std::int64_t rows[] = {4, 2, 2};
      EXPECT_EQ(program.elements(program.slots[t.slot], 3).value(), 4 * rows[program.at.tensor]);
    }
}

TEST(Check, EveryRandomChainCanBeExecutedOnEveryRank) {
  tests::ChainDraw draw(20261128);
  for (int i = 0; i < 3000; ++i) {
    const auto c = draw.draw(draw.number(2, 6) * draw.number(1, 2));
    const TensorFormat format{.layout = i % 2 == 0 ? kernels::Layout::nchw : kernels::Layout::nhwc};
    for (const bool training : {true, false}) {
      const auto grid = roles_of(c.model, c.split(), format, training);
      for (const std::int64_t batch : {c.batch, c.batch + 5, std::int64_t{40}})
        ASSERT_EQ(lines(faults_of(grid.by_rank, c.model, batch)), "") << to_string(c) << ", batch " << batch;
    }
  }
}

/// Batch to windows, and among the ranks of two stages, so that each kind of instruction is there.
Roles grid_to_break(const model::ModelSpec& model) {
  return roles_of(model,
                  {.grid = {.data = 2, .pipeline = 2, .tensor = 3},
                   .batch = 13,
                   .norms = {.of_gradient = true, .of_tensors = true}},
                  {}, true);
}

std::size_t faults_after(const std::function<void(Program&)>& change) {
  const auto model =
      model_of("2x7x4", {"conv 3 kernel=3 padding=1 placement=batch", "maxpool 2 stride=1 placement=height",
                         "flatten placement=column", "linear 5 placement=column"});
  auto grid = grid_to_break(model);
  EXPECT_EQ(lines(faults_of(grid.by_rank, model, 13)), "");
  for (auto& program : grid.programs)
    change(program);
  return faults_of(grid.by_rank, model, 13).size();
}

TEST(Check, ASlotThatIsTooSmallIsFound) {
  for (const auto role : {SlotRole::input, SlotRole::labels, SlotRole::activation, SlotRole::saved,
                          SlotRole::gradient, SlotRole::message, SlotRole::statistics, SlotRole::norm,
                          SlotRole::metric, SlotRole::parameters, SlotRole::parameter_gradients})
    EXPECT_GT(faults_after([&](Program& p) {
                for (auto& slot : p.slots) {
                  if (slot.role != role) continue;
                  // As it was once: what is sent sized by the samples that the sender has.
                  if (role == SlotRole::message) slot.per_sample = Elements(28), slot.batch_share = true;
                  slot.conversion.reset();
                  slot.per_sample = Elements(slot.per_sample.value() / 2);
                  slot.fixed = Elements(slot.fixed.value() / 2);
                }
              }),
              0U)
        << to_string(role);
}

TEST(Check, AConversionBetweenOtherPlacementsIsFound) {
  EXPECT_GT(faults_after([](Program& p) {
              for (auto& c : p.conversions)
                if (c.to.spread == Spread::window) c.to.kernel += 1;
            }),
            0U);
}

TEST(Check, ATransferThatOneRankLeavesOutIsFound) {
  EXPECT_GT(faults_after([](Program& p) {
              if (p.at.tensor == 1)
                std::erase_if(p.instructions, [](const Instruction& i) {
                  return i.kind == Kind::start && i.transfer == TransferId(0);
                });
            }),
            0U);
}

TEST(Check, ABucketBeyondItsVectorIsFound) {
  const auto moved = [](Program& p, SlotId slot) { p.slots[slot].first = p.parameter_count; };
  EXPECT_GT(faults_after([&](Program& p) { moved(p, p.buckets.back().parameters); }), 0U);
  EXPECT_GT(faults_after([&](Program& p) { moved(p, p.buckets.back().gradients.front()); }), 0U);
}

TEST(Check, ANormOfOtherSumsIsFound) {
  const auto after = [](const std::function<void(Program&, Instruction&)>& change) {
    return faults_after([&](Program& p) {
      for (auto& i : p.instructions)
        if (i.kind == Kind::norm) change(p, i);
    });
  };
  EXPECT_GT(after([](Program& p, Instruction& i) { i.writes = {*p.scale_slot, *p.squares_slot}; }), 0U);
  EXPECT_GT(after([](Program& p, Instruction& i) {
              if (i.bucket) i.reads = {p.buckets[*i.bucket].parameters};
            }),
            0U);
  EXPECT_GT(after([](Program& p, Instruction&) { p.norm_parts = 3; }), 0U);
}

TEST(Check, AnUpdateOfAnotherSlotThanItsBucketsIsFound) {
  EXPECT_GT(faults_after([](Program& p) {
              for (auto& i : p.instructions)
                if (i.kind == Kind::update) i.writes = {p.untrained_slot};
            }),
            0U);
  EXPECT_GT(faults_after([](Program& p) {
              for (auto& i : p.instructions)
                if (i.kind == Kind::update) i.reads.pop_back();
            }),
            0U)
      << "without the loss";
}

}  // namespace
}  // namespace partita::step
