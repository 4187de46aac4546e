/// What is said to be alike runs the same kernels and exchanges the same, on random nets, grids and
/// schedules.
#include "partita/step/alike.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "../models.hpp"
#include "partita/cost/kernel.hpp"
#include "partita/cost/work.hpp"
#include "partita/step/build.hpp"
#include "partita/step/rounds.hpp"
#include "random_chains.hpp"

namespace partita::step {
namespace {

void check_instructions(const Program& program, const std::vector<int>& numbers) {
  std::map<int, const Instruction*> first;
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    const auto& like = *first.emplace(numbers[i], &instruction).first->second;
    ASSERT_EQ(instruction.kind, like.kind);
    if (instruction.kind == Kind::start || instruction.kind == Kind::wait) continue;
    for (const std::int64_t samples : {0, 1, 3, 4}) {
      EXPECT_EQ(cost::key_of(program, instruction, samples, {}), cost::key_of(program, like, samples, {}));
      EXPECT_EQ(cost::work_of(program, instruction, samples), cost::work_of(program, like, samples));
    }
  }
}

void check_transfers(const Program& program, const base::IdVector<TransferId, int>& numbers) {
  const collective::Place place{.node_of = {0}};
  std::map<int, TransferId> first;
  for (const auto id : program.transfers.ids())
    for (const std::int64_t samples : {0, 1, 3, 4}) {
      const auto spec_of = [&](TransferId t) {
        return resolve(program, program.transfers[t], samples, place, {}).spec;
      };
      const auto spec = spec_of(id), like = spec_of(first.emplace(numbers[id], id).first->second);
      EXPECT_EQ(spec.operation, like.operation);
      EXPECT_EQ(spec.elements, like.elements);
      EXPECT_EQ(spec.peer, like.peer);
      EXPECT_EQ(spec.cuts, like.cuts);
      EXPECT_EQ(spec.receive_cuts, like.receive_cuts);
    }
}

TEST(Alike, DoesTheSame) {
  std::size_t instructions = 0, different = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const auto chain = tests::ChainDraw(seed).draw(seed % 2 == 0 ? 4 : 6);
    SCOPED_TRACE(tests::to_string(chain));
    const auto plan = plan::choose(chain.model, chain.split());
    for (int rank = 0; rank < static_cast<int>(chain.grid.size()); ++rank) {
      const auto program =
          build_training_program(chain.model, plan, topology::coordinate_of(chain.grid, rank), {});
      const auto all = alike(program);
      check_instructions(program, all.instructions);
      check_transfers(program, all.transfers);
      instructions += all.instructions.size();
      different += std::set(all.instructions.begin(), all.instructions.end()).size();
    }
  }
  EXPECT_LT(different, instructions * 9 / 10);
}

/// A step of twice as many micro-batches has no instructions that differ from those of half as many.
TEST(Alike, AreMicrobatches) {
  const auto model = tests::model_of("8", {"linear 8 placement=column", "relu", "linear 8 placement=row"});
  const auto different = [&](int microbatches) {
    const auto plan = plan::choose(
        model,
        {.grid = {.pipeline = 2, .tensor = 2}, .batch = 64, .pipeline = {.microbatches = microbatches}});
    const auto program = build_training_program(model, plan, {}, {});
    const auto all = alike(program);
    return std::pair(std::set(all.instructions.begin(), all.instructions.end()).size(),
                     std::set(all.transfers.begin(), all.transfers.end()).size());
  };
  EXPECT_EQ(different(4), different(16));
}

}  // namespace
}  // namespace partita::step
