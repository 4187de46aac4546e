/// What lies beyond caches: nothing where a step fits, all where no cache would hold it, and in between what
/// was touched longest ago.
#include "partita/cost/reuse.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "../models.hpp"
#include "partita/base/error.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"

namespace partita::cost {
namespace {

using machine::Cache;
using step::Kind;

constexpr std::int64_t batch = 16;

/// Weights of 4 MiB in each of three layers, activations of 64 KiB.
step::Program wide_layers(int microbatches = 1) {
  const auto model = tests::model_of("1024", {"linear 1024", "linear 1024", "linear 1024"});
  return step::build_training_program(
      model, plan::choose(model, {.batch = batch, .pipeline = {.microbatches = microbatches}}), {}, {});
}

std::vector<std::int64_t> beyond(const step::Program& program, std::int64_t bytes,
                                 const Execution& execution = {}, int cores = 1) {
  const Cache cache{.bytes = kernels::Bytes(bytes), .cores = cores};
  std::vector<std::int64_t> percents;
  for (const auto& of_instruction : beyond_caches(program, batch, execution, std::span(&cache, 1))) {
    EXPECT_EQ(of_instruction.size(), 1U);
    percents.push_back(of_instruction.front());
  }
  return percents;
}

TEST(Reuse, IsNearWhereAStepFits) {
  for (const auto percent : beyond(wide_layers(), std::int64_t{1} << 30))
    EXPECT_EQ(percent, 0);
}

TEST(Reuse, IsFarWhereNothingFits) {
  for (const auto percent : beyond(wide_layers(), 64))
    EXPECT_EQ(percent, 100);
}

/// 1 MiB holds what instructions hand each other, and no weights.
TEST(Reuse, IsFarForWeightsAndNearForActivations) {
  const auto program = wide_layers();
  const auto percents = beyond(program, 1 << 20);
  for (std::size_t i = 0; i < percents.size(); ++i) {
    const auto& instruction = program.instructions[i];
    SCOPED_TRACE(step::to_string(instruction.kind));
    if (instruction.kind == Kind::forward || instruction.kind == Kind::update ||
        instruction.phase == step::Phase::parameters) {
      EXPECT_EQ(percents[i], 100);
    }
    if (instruction.kind == Kind::loss) {
      EXPECT_LE(percents[i], 60);  // of what it writes, and its code
    }
  }
}

/// A layer's weights, which its forward pass touches last, lie 4 MiB away for the backward pass of the data
/// of the last layer, and the states of all layers away for the next forward pass.
TEST(Reuse, CountsWhatWasTouchedSince) {
  const auto program = wide_layers();
  const auto of_last_data = [&](std::int64_t bytes) {
    const auto percents = beyond(program, bytes);
    for (std::size_t i = 0; i < percents.size(); ++i)
      if (program.instructions[i].phase == step::Phase::data) return percents[i];
    return std::int64_t{-1};
  };
  // The weights of 4 MiB themselves, between them gradients of 4 MiB where these are computed first.
  EXPECT_GE(of_last_data(2 << 20), 90);
  EXPECT_LE(of_last_data(20 << 20), 10);
}

TEST(Reuse, GrowsWhereACacheShrinks) {
  const auto program = wide_layers(4);
  std::vector<std::int64_t> before(program.instructions.size(), 100);
  for (std::int64_t bytes = 1 << 12; bytes <= 1 << 28; bytes *= 2) {
    const auto now = beyond(program, bytes);
    for (std::size_t i = 0; i < now.size(); ++i)
      EXPECT_LE(now[i], before[i]) << bytes;
    before = now;
  }
}

TEST(Reuse, OfRanksThatShareACacheIsThatOfTheirPart) {
  const auto program = wide_layers();
  EXPECT_EQ(beyond(program, 32 << 20, {.active_ranks = 2}, 2), beyond(program, 16 << 20));
  EXPECT_EQ(beyond(program, 32 << 20, {.active_ranks = 8}, 2), beyond(program, 16 << 20));
  EXPECT_EQ(beyond(program, 32 << 20, {.active_ranks = 2}, 1), beyond(program, 32 << 20));
  EXPECT_EQ(beyond(program, 32 << 20, {.crowding = 4}, 1), beyond(program, 8 << 20));
  EXPECT_EQ(beyond(program, 32 << 20, {.active_ranks = 2, .crowding = 2}, 2), beyond(program, 8 << 20));
}

/// Twice as many states of the optimizer are touched in an update, and displace more.
TEST(Reuse, OfAnUpdateGrowsWithTheOptimizersStates) {
  const auto program = wide_layers();
  const auto sum = [](const std::vector<std::int64_t>& all) {
    std::int64_t total = 0;
    for (const auto percent : all)
      total += percent;
    return total;
  };
  EXPECT_GT(sum(beyond(program, 40 << 20, {.optimizer = "adam"})), sum(beyond(program, 40 << 20)));
}

/// Ranks of the tensor axis have programs of their own, which touch as much as each other where all divides
/// evenly; more micro-batches, samples or tensors are another text.
TEST(Reuse, IsThatOfAllProgramsOfOneText) {
  const auto model = tests::model_of("64", {"linear 96", "relu", "linear 10"});
  std::map<std::string, std::vector<std::int64_t>> known;
  std::size_t programs = 0;
  for (const int tensor : {1, 2, 3})
    for (const int microbatches : {1, 2})
      for (int t = 0; t < tensor; ++t) {
        const auto plan = plan::choose(
            model, {.grid = {.tensor = tensor}, .batch = batch, .pipeline = {.microbatches = microbatches}});
        const auto program = step::build_training_program(model, plan, {.tensor = t}, {});
        for (const std::int64_t samples : {16, 12}) {
          const Cache cache{.bytes = kernels::Bytes(24 << 10)};
          std::vector<std::int64_t> percents;
          for (const auto& all : beyond_caches(program, samples, {}, std::span(&cache, 1)))
            percents.push_back(all.front());
          const auto [same, is_new] = known.emplace(text_of_touched(program, samples), percents);
          EXPECT_EQ(same->second, percents) << t << " of " << tensor;
          ++programs;
        }
      }
  EXPECT_LT(known.size(), programs);
  EXPECT_GE(known.size(), 12U) << "grids, micro-batches and batches differ";
}

/// Each part of a program that says what an instruction touches, changed alone.
TEST(Reuse, HasAnotherTextForAllThatSaysWhatIsTouched) {
  const auto model =
      tests::model_of("2x8x8", {"conv 4 kernel=3 padding=1 placement=batch", "relu", "maxpool 2", "flatten",
                                "linear 12 placement=column", "linear 6 placement=batch"});
  const auto plan = plan::choose(
      model, {.grid = {.data = 2, .tensor = 2}, .batch = batch, .pipeline = {.microbatches = 2}});
  const auto program = step::build_training_program(model, plan, {}, {});
  const step::SlotId slot(1);
  const auto unit = [](step::Program & p) -> auto& {
    return *std::ranges::find_if(p.parameters, [](const auto& of_unit) { return !of_unit.tensors.empty(); });
  };
  using step::Instruction;
  const auto with = [](step::Program& p, const auto& has) -> Instruction& {
    const auto found =
        std::ranges::find_if(p.instructions, [&](const Instruction& i) { return has(i).has_value(); });
    base::expect(found != p.instructions.end(), "the program has such an instruction");
    return *found;
  };
  const std::function<void(step::Program&)> changes[] = {
      [&](auto& p) { p.slots[slot].role = step::SlotRole::metric; },
      [&](auto& p) {
        auto& life = p.slots[slot].lifetime;
        life = life == step::Lifetime::step ? step::Lifetime::run : step::Lifetime::step;
      },
      [&](auto& p) { p.slots[slot].type = kernels::DataType::float64; },
      [&](auto& p) { p.slots[slot].first += kernels::Elements(1); },
      [&](auto& p) { p.slots[slot].fixed += kernels::Elements(1); },
      [&](auto& p) {
        p.buckets[step::BucketId(0)].parameters = p.buckets[step::BucketId(0)].gradients.front();
      },
      [&](auto& p) { p.buckets[step::BucketId(0)].share += kernels::Elements(1); },
      [&](auto& p) { unit(p).tensors.front().trained = !unit(p).tensors.front().trained; },
      [&](auto& p) { unit(p).tensors.front().slot = slot; },
      [&](auto& p) { unit(p).tensors.front().offset += kernels::Elements(1); },
      [&](auto& p) { unit(p).tensors.front().count += kernels::Elements(1); },
      [&](auto& p) { p.instructions.front().kind = step::Kind::combine; },
      [&](auto& p) { p.instructions.front().phase = step::Phase::data; },
      [&](auto& p) { with(p, [](auto& i) { return i.unit; }).unit.reset(); },
      [&](auto& p) { with(p, [](auto& i) { return i.bucket; }).bucket.reset(); },
      [&](auto& p) { with(p, [](auto& i) { return i.transfer; }).transfer.reset(); },
      [&](auto& p) { with(p, [](auto& i) { return i.conversion; }).conversion.reset(); },
      [&](auto& p) { p.instructions.front().reads.push_back(slot); },
      [&](auto& p) { p.instructions.front().writes.push_back(slot); },
  };
  std::set<std::string> texts{text_of_touched(program, batch)};
  for (const auto& change : changes) {
    auto changed = program;
    change(changed);
    EXPECT_TRUE(texts.insert(text_of_touched(changed, batch)).second) << texts.size();
  }
}

}  // namespace
}  // namespace partita::cost
