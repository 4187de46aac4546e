/// Work of layers, instructions and whole programs against counts by hand.
#include "partita/cost/work.hpp"

#include <gtest/gtest.h>

#include <map>

#include "../models.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"

namespace partita::cost {
namespace {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;
using step::Kind;

TEST(Work, OfALayerIsItsFlopsAndEachOperandOnce) {
  const auto model = tests::model_of("12", {"linear 7", "tanh", "linear 5"});
  const auto linear = work_of(model.layers[0], 3, DataType::float32);
  EXPECT_EQ(linear.flops, 3 * 7 * (2 * 12 + 1));
  EXPECT_EQ(linear.cache, Bytes(4 * (3 * 12 + 3 * 7 + 7 * 12 + 7)));
  EXPECT_EQ(linear.main, Bytes(0));
  EXPECT_EQ(linear.calls, 1);
  EXPECT_EQ(work_of(model.layers[1], 3, DataType::float64),
            (Work{.flops = 21, .cache = Bytes(8 * 2 * 21), .calls = 1}));
  EXPECT_EQ(work_of_update(Elements(10), DataType::float64).main, Bytes(5 * 80));
  const auto vectors = [](kernels::OptimizerRule rule, step::Phase phase) {
    return work_of_update(Elements(10), DataType::float64, kernels::describe(rule), phase).main.value() / 80;
  };
  using kernels::OptimizerRule;
  EXPECT_EQ(vectors(OptimizerRule::lars, step::Phase::statistics), 2);
  EXPECT_EQ(vectors(OptimizerRule::lars, step::Phase::finish), 5);
  EXPECT_EQ(vectors(OptimizerRule::lamb, step::Phase::statistics), 2 + 3 + 4)
      << "the direction, then its norm";
  EXPECT_EQ(vectors(OptimizerRule::lamb, step::Phase::finish), 3);
}

TEST(Work, OfASampleCountsThePassesThatAStepMakes) {
  const auto model =
      tests::model_of("12", {"linear 7 frozen", "relu", "linear 5", "linear 4 frozen", "linear 3"});
  const double a = 7 * (2 * 12 + 1), relu = 7, b = 5 * (2 * 7 + 1), c = 4 * (2 * 5 + 1), d = 3 * (2 * 4 + 1);
  EXPECT_EQ(flops_of_sample(model), a + relu + 2 * b + 2 * c + 3 * d);
  EXPECT_EQ(flops_of_sample(model, 4), 3 * d);
  EXPECT_EQ(flops_of_sample(model::frozen(model)), a + relu + b + c + d);
}

const model::ModelSpec& net() {
  static const auto model =
      tests::model_of("2x9x8", {"conv 3 kernel=3 padding=1", "relu", "maxpool 2", "conv 4 kernel=2 stride=2",
                                "relu", "dropout 0.2", "flatten", "linear 6", "tanh", "linear 5"});
  return model;
}

/// Of one step of a rank, by kind of instruction.
std::map<Kind, Work> work_of_step(const step::Program& program, int data_rank, std::int64_t batch) {
  std::map<Kind, Work> work;
  for (const auto& i : program.instructions)
    work[i.kind] +=
        work_of(program, i, i.microbatch ? program.microbatch(*i.microbatch, data_rank, batch).size() : 0);
  return work;
}

/// All ranks of a grid together.
std::map<Kind, Work> work_of_grid(const model::ModelSpec& model, const plan::Request& request,
                                  std::int64_t batch) {
  const auto plan = plan::choose(model, request);
  std::map<Kind, Work> total;
  for (int rank = 0; rank < static_cast<int>(request.grid.size()); ++rank) {
    const auto at = topology::coordinate_of(request.grid, rank);
    for (const auto& [kind, work] :
         work_of_step(step::build_training_program(model, plan, at, {}), at.data, batch))
      total[kind] += work;
  }
  return total;
}

/// However a batch is cut, its samples are passed over once: ragged shares, stages, micro-batches, joined
/// ReLUs.
TEST(Work, OfAllRanksIsThatOfTheBatch) {
  constexpr std::int64_t batch = 11;
  for (const auto& [grid, microbatches] : std::vector<std::pair<topology::GridExtent, int>>{
           {{}, 1}, {{.data = 3}, 2}, {{.pipeline = 3}, 4}, {{.data = 2, .pipeline = 2}, 3}}) {
    const auto work = work_of_grid(
        net(), {.grid = grid, .batch = batch, .pipeline = {.microbatches = microbatches}}, batch);
    EXPECT_DOUBLE_EQ(work.at(Kind::forward).flops + work.at(Kind::backward).flops,
                     batch * flops_of_sample(net()))
        << to_string(grid);
    EXPECT_EQ(work.at(Kind::update).main, Bytes(5 * 4 * net().parameters().value() * grid.data));
    EXPECT_EQ(work.count(Kind::start) + work.count(Kind::wait) > 0, grid.size() > 1);
    for (const auto kind : {Kind::start, Kind::wait})
      EXPECT_EQ(work.contains(kind) ? work.at(kind) : Work{}, Work{});
  }
}

/// Statistics are halves of passes, or the pass for the parameters: whatever of a layer is trained, its
/// passes are whole.
TEST(Work, OfALayerWithStatisticsIsThatOfItsPasses) {
  constexpr std::int64_t batch = 12;
  for (const std::string lowest : {"", " frozen"})
    for (const std::string norm : {"batchnorm", "batchnorm affine=false", "batchnorm frozen"}) {
      const auto model = tests::model_of(
          "2x5x4", {"conv 3 kernel=2 bias=false" + lowest, norm, "relu", norm, "flatten", "linear 5"});
      for (const auto& [grid, microbatches] : std::vector<std::pair<topology::GridExtent, int>>{
               {{}, 1}, {{.data = 3}, 2}, {{.data = 2, .pipeline = 2}, 3}}) {
        const auto work = work_of_grid(
            model, {.grid = grid, .batch = batch, .pipeline = {.microbatches = microbatches}}, batch);
        EXPECT_DOUBLE_EQ(work.at(Kind::forward).flops + work.at(Kind::backward).flops,
                         batch * flops_of_sample(model))
            << norm << lowest << ' ' << to_string(grid);
      }
    }
}

/// Ranks of the tensor axis that cut a layer do it together; those that hold it replicated each do all of it.
TEST(Work, OfPlacedLayersIsTheirShare) {
  const auto flops = [](const std::string& placement, int ranks) {
    const auto model =
        tests::model_of("12", {"linear 7 placement=" + placement, "linear 5 placement=replicated"});
    const auto work = work_of_grid(model, {.grid = {.tensor = ranks}, .batch = 4}, 4);
    return work.at(Kind::forward).flops - ranks * 4 * 5 * (2 * 7 + 1);
  };
  const double products = 4 * 7 * 2 * 12, biases = 4 * 7;
  EXPECT_EQ(flops("replicated", 3), 3 * (products + biases));
  EXPECT_EQ(flops("column", 3), products + biases);
  EXPECT_EQ(flops("batch", 3), products + biases);
  EXPECT_EQ(flops("row", 3), products + 3 * biases);
}

TEST(Work, OfCopiesAndLossesIsWhatTheyTouch) {
  const auto model = tests::model_of("12", {"linear 7", "linear 5"});
  const auto plan = plan::choose(model, {.batch = 4});
  const auto work = work_of_step(step::build_training_program(model, plan, {}, {}), 0, 4);
  EXPECT_EQ(work.at(Kind::load), (Work{.main = Bytes(2 * 4 * (4 * 12 + 4)), .calls = 2}));
  const auto metric = 2 * 8;
  EXPECT_EQ(work.at(Kind::loss), (Work{.cache = Bytes(4 * (4 * 5 + 4 + 4 * 5) + metric), .calls = 1}));
}

}  // namespace
}  // namespace partita::cost
