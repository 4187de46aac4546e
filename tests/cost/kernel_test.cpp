/// What instructions run, as keys: the same key for the same work, another for other work.
#include "partita/cost/kernel.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

#include "../models.hpp"
#include "partita/cost/work.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"

namespace partita::cost {
namespace {

using machine::KernelKey;
using step::Kind;
using step::Phase;

bool computes(const step::Instruction& i) { return i.kind != Kind::start && i.kind != Kind::wait; }

/// Calls `visit(program, instruction, samples)` for all that the ranks of a grid compute in a step.
template <class Visit>
void visit_step(const model::ModelSpec& model, const plan::Request& request, Visit visit) {
  const auto plan = plan::choose(model, request);
  for (int rank = 0; rank < static_cast<int>(request.grid.size()); ++rank) {
    const auto program =
        step::build_training_program(model, plan, topology::coordinate_of(request.grid, rank), {});
    for (const auto& i : program.instructions)
      if (computes(i)) visit(program, i, program.samples_of(i.microbatch, rank, request.batch));
  }
}

/// Names and shapes of what one rank computes, in order: "linear forward 4x12x7".
std::vector<std::string> names_of(const model::ModelSpec& model, const plan::Request& request) {
  std::vector<std::string> names;
  visit_step(model, request, [&](const auto& program, const auto& i, std::int64_t samples) {
    const auto key = key_of(program, i, samples, {});
    std::string shape;
    for (const auto extent : key.shape)
      shape += (shape.empty() ? "" : "x") + std::to_string(extent);
    names.push_back(key.kernel + " " + key.phase + (key.phase.empty() ? "" : " ") + shape);
  });
  return names;
}

TEST(Kernel, IsNamedByWhatAnInstructionRuns) {
  const auto model = tests::model_of(
      "3x9x8", {"conv 4 kernel=3x2 stride=2x1 padding=1", "relu", "batchnorm", "maxpool 2x3 stride=1",
                "flatten", "dropout 0.2", "linear 6", "relu", "linear 5 bias=false"});
  EXPECT_EQ(names_of(model, {.batch = 7}),
            (std::vector<std::string>{"load input 7x3x72",
                                      "conv+relu forward 7x3x9x8x4x3x2x2x1x1x1",
                                      "batchnorm forward-statistics 7x4x45",
                                      "batchnorm forward 7x4x45",
                                      "maxpool forward 7x4x5x9x2x3x1x1",
                                      "dropout forward 784",
                                      "linear+relu forward 7x112x6",
                                      "linear+plain forward 7x6x5",
                                      "load labels 7x1",
                                      "cross-entropy gradient 7x5",
                                      "linear+plain backward-parameters 7x6x5",
                                      "linear+plain backward-data 7x6x5",
                                      "relu backward-activation 42",
                                      "linear backward-parameters 7x112x6",
                                      "linear backward-data 7x112x6",
                                      "dropout backward-data 784",
                                      "maxpool backward-data 7x4x5x9x2x3x1x1",
                                      "batchnorm backward-statistics 7x4x45",
                                      "batchnorm backward-parameters 7x4x45",
                                      "batchnorm backward-data 7x4x45",
                                      "relu backward-activation 1260",
                                      "conv backward-parameters 7x3x9x8x4x3x2x2x1x1x1",
                                      "update sgd 30",
                                      "update sgd 678",
                                      "update sgd 8",
                                      "update sgd 76"}));
}

/// What is looked up for one instruction was measured with another: they must do the same.
TEST(Kernel, OfTheSameKeyDoesTheSameWork) {
  std::map<KernelKey, Work> works;
  std::size_t instructions = 0;
  const std::vector<model::ModelSpec> models{
      tests::model_of("2x9x8",
                      {"conv 3 kernel=3 padding=1", "relu", "maxpool 2", "conv 4 kernel=2 stride=2", "relu",
                       "batchnorm", "dropout 0.2", "flatten", "linear 6", "tanh", "linear 5"}),
      tests::model_of("12", {"linear 9", "relu", "linear 9", "batchnorm affine=false", "relu", "linear 5"},
                      "mse"),
      tests::model_of(
          "2x8x8", {"conv 4 kernel=3 placement=height", "relu", "conv 4 kernel=3 placement=column", "flatten",
                    "linear 8 placement=row", "linear 6 placement=batch", "linear 4"})};
  for (const auto& model : models)
    for (const topology::GridExtent grid :
         {topology::GridExtent{}, {.data = 3}, {.pipeline = 2}, {.tensor = 2}, {.data = 2, .tensor = 3}})
      for (const int grains : {0, 4})
        visit_step(
            model,
            {.grid = grid, .batch = 22, .pipeline = {.microbatches = grains > 0 ? 1 : 2}, .grains = grains},
            [&](const auto& program, const auto& i, std::int64_t samples) {
              if (i.conversion) return;  // their work is counted as that of whole buffers
              const auto work = work_of(program, i, samples);
              const auto key = key_of(program, i, samples, {});
              const auto [known, is_new] = works.emplace(key, work);
              EXPECT_EQ(known->second, work) << key.kernel << ' ' << key.phase;
              ++instructions;
            });
  EXPECT_GT(instructions, 3 * works.size());
  EXPECT_GT(works.size(), 100U);
}

/// The grammar knows the words of every kernel.
TEST(Kernel, CanStandInAMachineFile) {
  const auto model = tests::model_of(
      "2x8x8", {"conv 4 kernel=3", "batchnorm", "relu", "avgpool 2", "conv 4 kernel=2 bias=false", "relu",
                "maxpool 2", "flatten", "dropout 0.2", "linear 8", "tanh", "linear 6"});
  const plan::Request usual{.grid = {.data = 3}, .batch = 22, .pipeline = {.microbatches = 2}};
  std::vector<plan::Request> requests{usual};
  const auto request = [&]() -> plan::Request& { return requests.emplace_back(usual); };
  request().grid = {.data = 2, .pipeline = 2, .tensor = 2};
  request().grid = {.tensor = 3};
  request().grains = 6;
  request().norms = {.of_gradient = true, .of_tensors = true};
  for (const auto split : {step::Split::state, step::Split::gradient, step::Split::parameter})
    request().split = split;
  for (const auto codec : {kernels::Codec::bf16, kernels::Codec::fp16, kernels::Codec::int8,
                           kernels::Codec::sign, kernels::Codec::topk, kernels::Codec::powersgd})
    for (const bool residuals : {false, true})
      request().compression = {.codec = codec, .residuals = residuals};
  request().compression = {.codec = kernels::Codec::secure};
  request().cadence.is_delayed = true;
  std::set<std::string> kernels;
  for (const auto& asked : requests)
    for (const auto rule : asked.norms.of_tensors ? std::vector{"lars", "lamb"}
                                                  : std::vector{"sgd", "nesterov", "adam", "adamw"})
      visit_step(model, asked, [&](const auto& program, const auto& i, std::int64_t samples) {
        const auto key = key_of(program, i, samples, {.implementation = "reference", .optimizer = rule});
        if (!kernels.insert(key.kernel + ' ' + key.phase + ' ' + key.type + key.layout).second) return;
        auto machine = machine::Machine::shipped();
        machine.kernels = {{.key = key,
                            .runs = 1,
                            .median_seconds = 1e-6,
                            .lower_quartile_seconds = 1e-6,
                            .upper_quartile_seconds = 1e-6}};
        std::vector<base::Violation> violations;
        machine::Machine::parse(machine.to_text(), violations);
        for (const auto& violation : violations)
          ADD_FAILURE() << key.kernel << ' ' << key.phase << ": " << to_string(violation);
      });
  EXPECT_GT(kernels.size(), 60U);
}

TEST(Kernel, IsAnotherOnceItDoesSomethingElse) {
  const auto first_forward = [](const std::string& line, std::int64_t batch, Execution execution = {}) {
    const auto model = tests::model_of("2x6x6", {line, "relu", "flatten", "linear 3"});
    std::optional<KernelKey> key;
    visit_step(model, {.batch = batch}, [&](const auto& program, const auto& i, std::int64_t samples) {
      if (i.kind == Kind::forward && !key) key = key_of(program, i, samples, execution);
    });
    return *key;
  };
  const std::vector<KernelKey> keys{first_forward("conv 4 kernel=3", 5),
                                    first_forward("conv 4 kernel=3", 6),
                                    first_forward("conv 4 kernel=3 bias=false", 5),
                                    first_forward("conv 4 kernel=3 padding=1", 5),
                                    first_forward("conv 4 kernel=3 stride=2", 5),
                                    first_forward("conv 4 kernel=3x2", 5),
                                    first_forward("conv 5 kernel=3", 5),
                                    first_forward("tanh", 5),
                                    first_forward("conv 4 kernel=3", 5, {.implementation = "reference"}),
                                    first_forward("conv 4 kernel=3", 5, {.threads = 2}),
                                    first_forward("conv 4 kernel=3", 5, {.active_ranks = 2})};
  EXPECT_EQ(std::set<KernelKey>(keys.begin(), keys.end()).size(), keys.size());
  EXPECT_EQ(keys[0], first_forward("conv 4 kernel=3", 5));
}

TEST(Kernel, ThatAddsToGradientsIsAnother) {
  std::vector<std::string> phases;
  visit_step(tests::model_of("12", {"linear 7"}), {.batch = 4, .pipeline = {.microbatches = 2}},
             [&](const auto& program, const auto& i, std::int64_t samples) {
               if (i.phase == Phase::parameters) phases.push_back(key_of(program, i, samples, {}).phase);
             });
  EXPECT_EQ(phases, (std::vector<std::string>{"backward-parameters", "backward-parameters+add"}));
}

/// Copies by what they copy, in how many pieces: columns of a matrix are gathered row by row.
TEST(Kernel, OfAMoveIsWhatItCopies) {
  const auto model = tests::model_of("12", {"linear 6 placement=column", "linear 5 placement=replicated"});
  std::set<std::string> moves;
  visit_step(model, {.grid = {.tensor = 2}, .batch = 4},
             [&](const auto& program, const auto& i, std::int64_t samples) {
               if (!i.conversion) return;
               const auto key = key_of(program, i, samples, {});
               moves.insert(key.kernel + testing::PrintToString(key.shape));
             });
  // A half of 4 x 3 lies together; both go to the rows of a whole of 4 x 6; a half of its gradient is cut
  // out.
  EXPECT_EQ(moves, (std::set<std::string>{"pack{ 12, 1, 0 }", "unpack{ 24, 8, 0 }", "convert{ 12, 4, 0 }"}));
}

TEST(Kernel, OfAnEmptyShareIsIdle) {
  const auto model = tests::model_of("12", {"linear 2 placement=column", "linear 5 placement=replicated"});
  std::int64_t idle = 0;
  visit_step(model, {.grid = {.tensor = 3}, .batch = 4},
             [&](const auto& program, const auto& i, std::int64_t samples) {
               const auto key = key_of(program, i, samples, {});
               if (key.kernel != "idle") return;
               ++idle;
               EXPECT_EQ(key.shape, (std::vector<std::int64_t>{0}));
               if (i.conversion) return;
               EXPECT_EQ(work_of(program, i, samples), Work{});
             });
  EXPECT_GT(idle, 0);
}

}  // namespace
}  // namespace partita::cost
