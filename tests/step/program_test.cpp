/// Step programs: what reduces, in which order, and memory that no two living tensors share.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "../models.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"
#include "partita/step/memory.hpp"
#include "partita/step/traffic.hpp"

namespace partita::step {
namespace {

model::ModelSpec cnn() {
  return tests::model_of("1x12x12", {"conv 3 kernel=3", "maxpool 2", "relu", "conv 4 kernel=2", "relu",
                                     "flatten", "dropout 0.5", "linear 5"});
}

Program training(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t bucket_bytes) {
  std::vector<base::Violation> violations;
  const auto split = plan::choose(model, {.grid = grid, .batch = 8, .bucket_bytes = Bytes(bucket_bytes)},
                                  machine::Machine::shipped(), violations);
  EXPECT_TRUE(violations.empty());
  return build_training_program(model, split, {}, {});
}

Program training(int data, std::int64_t bucket_bytes) {
  return training(cnn(), {.data = data}, bucket_bytes);
}

TEST(Program, OneRankReducesNothing) {
  const auto program = training(1, 1);
  EXPECT_TRUE(program.transfers.empty());
  EXPECT_TRUE(traffic_of_step(program, 0, 8).empty());
}

TEST(Program, EveryGradientIsReducedOnceAndBeforeItsUpdate) {
  for (const std::int64_t bucket_bytes : {1, 200, 1 << 20}) {
    const auto program = training(3, bucket_bytes);
    Elements covered{};
    for (const auto& bucket : program.buckets) {
      const auto& slot = program.slots[bucket.parameters];
      EXPECT_EQ(slot.first, covered);
      covered += slot.fixed;
    }
    EXPECT_EQ(covered, program.parameter_count);
    EXPECT_EQ(program.parameter_count, cnn().parameters());
    for (const auto r : program.transfers.ids()) {
      const auto position = [&](Kind kind) {
        return std::find_if(program.instructions.begin(), program.instructions.end(),
                            [&](const Instruction& i) { return i.kind == kind && i.transfer == r; });
      };
      EXPECT_LT(position(Kind::start), position(Kind::wait));
    }
    const auto payload = traffic_of_step(program, 0, 8);
    Bytes gradient{};
    for (const auto& [key, row] : payload)
      if (key.purpose == collective::Purpose::gradient) gradient += row.counts.payload_bytes;
    EXPECT_EQ(gradient, bytes_of(DataType::float32, program.parameter_count));
  }
}

TEST(Program, FrozenLayersHaveNoGradientNoTrafficAndNoBackwardBelowThem) {
  const auto model =
      tests::model_of("8", {"linear 7 frozen", "relu", "linear 6", "linear 5 frozen", "linear 4"});
  const auto program = training(model, {.data = 2}, 1);
  const std::int64_t trained = 6 * 7 + 6 + 4 * 5 + 4;
  EXPECT_EQ(program.trained_count.value(), trained);
  EXPECT_EQ(program.parameter_count, model.parameters());
  Bytes gradient{};
  for (const auto& [key, row] : traffic_of_step(program, 0, 8))
    if (key.purpose == collective::Purpose::gradient) gradient += row.counts.payload_bytes;
  EXPECT_EQ(gradient.value(), 4 * trained);
  std::vector<std::pair<int, Phase>> backward;
  for (const auto& i : program.instructions)
    if (i.kind == Kind::backward) backward.emplace_back(program.units[*i.unit].layer, i.phase);
  const std::vector<std::pair<int, Phase>> expected{
      {4, Phase::parameters}, {4, Phase::data}, {3, Phase::data}, {2, Phase::parameters}};
  EXPECT_EQ(backward, expected);
}

TEST(Program, ABucketStartsBeforeTheDataGradientOfItsLastLayer) {
  const auto program = training(2, 1);
  const auto& instructions = program.instructions;
  const auto first = std::find_if(instructions.begin(), instructions.end(), [](const Instruction& i) {
    return i.kind == Kind::start && i.transfer == TransferId(1);
  });
  ASSERT_NE(first, instructions.end());
  EXPECT_EQ(std::prev(first)->phase, Phase::parameters);
  EXPECT_EQ(std::next(first)->phase, Phase::data);
}

TEST(Program, NoGradientFlowsBelowTheLowestTrainedLayer) {
  const auto program = training(1, 1);
  for (const auto& i : program.instructions)
    EXPECT_FALSE(i.unit == UnitId(0) && i.phase == Phase::data);
}

TEST(Program, DropoutIsTheIdentityOutsideTraining) {
  const auto program = build_evaluation_program(cnn(), plan::choose(cnn(), {}), {}, {});
  for (const auto& i : program.instructions)
    if (i.unit) {
      EXPECT_NE(cnn().layers[static_cast<std::size_t>(program.units[*i.unit].layer)].kind,
                model::LayerKind::dropout);
    }
}

TEST(Memory, TensorsThatLiveAtTheSameTimeDoNotOverlap) {
  for (const std::int64_t samples : {0, 1, 7}) {
    const auto program = training(2, 1);
    const auto plan = plan_memory(program, 0, 2 * samples, 64);
    struct Life {
      int first = 1 << 30, last = -1;
    };
    base::IdVector<SlotId, Life> lives(program.slots.size());
    for (std::size_t i = 0; i < program.instructions.size(); ++i)
      for (const auto* slots : {&program.instructions[i].reads, &program.instructions[i].writes})
        for (const auto s : *slots) {
          auto& life = lives[s];
          life = {std::min(life.first, static_cast<int>(i)), std::max(life.last, static_cast<int>(i))};
        }
    const auto end = [&](SlotId s) {
      return *plan.offset_bytes[s] +
             bytes_of(program.slots[s].type, program.elements(program.slots[s], samples)).value();
    };
    for (const auto a : lives.ids())
      for (const auto b : lives.ids()) {
        if (a == b || !plan.offset_bytes[a] || !plan.offset_bytes[b]) continue;
        const bool together = lives[a].first <= lives[b].last && lives[b].first <= lives[a].last;
        const bool overlap = plan.offset_bytes[a] < end(b) && plan.offset_bytes[b] < end(a);
        EXPECT_FALSE(together && overlap) << a << " and " << b;
      }
  }
}

}  // namespace
}  // namespace partita::step
