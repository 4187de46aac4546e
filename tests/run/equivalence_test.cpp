/// Data-parallel training equals training on one rank: differences are measured against how far training
/// moved, tensor by tensor, and a tensor that did not move fails as vacuous.
#include <gtest/gtest.h>

#include <cmath>

#include "../mpi_main.hpp"
#include "cases.hpp"
#include "partita/data/sampler.hpp"
#include "partita/step/build.hpp"
#include "partita/topology/cut.hpp"

namespace partita::tests {
namespace {

using kernels::DataType;
using kernels::View;

std::vector<double> values(View view) {
  if (view.type() == DataType::float64) return {view.as<double>().begin(), view.as<double>().end()};
  return {view.as<float>().begin(), view.as<float>().end()};
}

double norm(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v)
    sum += x * x;
  return std::sqrt(sum);
}

std::vector<double> difference(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] -= b[i];
  return a;
}

/// The largest ‖w_p − w₁‖ / ‖w₁ − w₀‖ over tensors; infinity when a tensor moved less than 1e-4 of its norm.
double largest_drift(const std::vector<run::LogicalTensor>& start, const std::vector<run::LogicalTensor>& one,
                     const std::vector<run::LogicalTensor>& many) {
  double worst = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const double moved = norm(difference(one[i].values, start[i].values));
    if (moved < 1e-4 * norm(start[i].values)) return INFINITY;
    worst = std::max(worst, norm(difference(many[i].values, one[i].values)) / moved);
  }
  return worst;
}

comm::Communicator& alone_on_this_rank() {
  static auto* self = new comm::Communicator(comm::Communicator::self(environment()));
  return *self;
}

void train(run::Training& training) { training.run({}); }

/// Drift of a case between all ranks of the world and this rank alone, and whether all replicas are the same
/// bits.
struct Result {
  double drift;
  bool identical_replicas;
};
Result compare(const Case& c, kernels::Backend& backend, comm::Algorithm algorithm) {
  auto& world = tests::world();
  auto& self = alone_on_this_rank();
  auto options = options_for(c, world.size());
  options.algorithm = algorithm;
  run::Training many(c.model, options, backend, world, c.data);
  train(many);
  auto alone = options_for(c, 1);
  run::Training one(c.model, alone, backend, self, c.data);
  train(one);
  alone.steps = 0;
  run::Training start(c.model, alone, backend, self, c.data);
  const View weights = many.parameters().weights();
  const std::string bytes(static_cast<const char*>(weights.data()),
                          static_cast<std::size_t>(weights.bytes().value()));
  bool identical = true;
  for (const auto& other : world.all_gather_text(bytes, collective::Purpose::control))
    identical &= other == bytes;
  return {largest_drift(many.program(), start.parameters().weights(), one.parameters().weights(), weights),
          identical};
}

TEST(Equivalence, EveryNetInDoubleIsTheSameModelAsOnOneRank) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  for (const auto& c : cases()) {
    const auto result = compare(c, *backend, comm::Algorithm::automatic);
    EXPECT_LE(result.drift, 1e-10) << c.name;
    EXPECT_TRUE(result.identical_replicas) << c.name;
  }
}

TEST(Equivalence, EveryAlgorithmInDoubleIsTheSameModelAsOnOneRank) {
  using comm::Algorithm;
  const auto backend = kernels::make_reference_backend(DataType::float64);
  const auto c = cases()[1];
  for (const auto algorithm : {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::halving_doubling,
                               Algorithm::window, Algorithm::hierarchical, Algorithm::mpi}) {
    const auto result = compare(c, *backend, algorithm);
    EXPECT_LE(result.drift, 1e-10) << to_string(algorithm);
    EXPECT_TRUE(result.identical_replicas) << to_string(algorithm);
  }
}

TEST(Equivalence, SmoothTwinsInSinglePrecisionStayWithinRounding) {
  const auto backend = kernels::make_cpu_backend(1);
  for (auto c : cases()) {
    c.model = model::smooth_twin(c.model);
    const auto result = compare(c, *backend, comm::Algorithm::automatic);
    EXPECT_LE(result.drift, 1e-4) << c.name;
    EXPECT_TRUE(result.identical_replicas) << c.name;
  }
}

TEST(Equivalence, TheSameRunTwiceIsTheSameBits) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[5];
  auto& world = tests::world();
  std::vector<double> first;
  for (int repetition = 0; repetition < 2; ++repetition) {
    run::Training training(c.model, options_for(c, world.size()), *backend, world, c.data);
    train(training);
    const auto weights = values(training.parameters().weights());
    if (repetition == 0) first = weights;
    EXPECT_EQ(first, weights);
  }
}

/// Twenty steps of a program as given, with the batch that gradients are divided by.
enum class Mutation { none, dropped_reduction, mean_of_means };
double drift_of_mutated(Mutation mutation) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  const auto c = cases()[1];
  auto& world = tests::world();
  auto axis = world.along(topology::Axis::data, {.data = world.size()});
  const auto options = options_for(c, world.size());
  auto program = step::build_training_program(
      c.model, {.grid = options.grid, .type = backend->type(), .bucket_bytes = options.bucket_bytes});
  if (mutation == Mutation::dropped_reduction)
    std::erase_if(program.instructions, [](const step::Instruction& i) { return i.reduction == 1; });
  run::Parameters parameters(program, axis);
  parameters.initialize(program, c.model, options.initializer, options.seed);
  run::Executor executor(program, c.model, *backend, axis, parameters, {.largest_share = c.batch});
  data::Sampler sampler({.samples = c.data.train.samples, .seed = options.seed});
  std::int64_t step = 0;
  for (std::int64_t epoch = 0; step < 20; ++epoch)
    for (std::int64_t begin = 0; begin < 23 && step < 20; begin += c.batch, ++step) {
      const std::int64_t samples = std::min<std::int64_t>(c.batch, 23 - begin);
      const auto mine = topology::share(world.rank(), world.size(), samples);
      const auto divisor = mutation == Mutation::mean_of_means
                               ? std::max<std::int64_t>(1, mine.size()) * world.size()
                               : samples;
      run::StepSpans spans;
      executor.run({.dataset = &c.data.train,
                    .indices = sampler.order(epoch).subspan(static_cast<std::size_t>(begin + mine.begin),
                                                            static_cast<std::size_t>(mine.size())),
                    .global_batch = divisor},
                   {.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 1e-3}, spans);
    }
  auto& self = alone_on_this_rank();
  auto alone = options_for(c, 1);
  run::Training one(c.model, alone, *backend, self, c.data);
  train(one);
  alone.steps = 0;
  run::Training start(c.model, alone, *backend, self, c.data);
  return largest_drift(program, start.parameters().weights(), one.parameters().weights(),
                       parameters.weights());
}

TEST(Mutations, WithoutMutationTheLoopOfThisTestIsEquivalentToo) {
  EXPECT_LE(drift_of_mutated(Mutation::none), 1e-10);
}

TEST(Mutations, ADroppedReductionIsCaught) {
  if (world().size() == 1) GTEST_SKIP() << "one rank reduces nothing";
  EXPECT_GT(drift_of_mutated(Mutation::dropped_reduction), 1e-3);
}

TEST(Mutations, AveragingTheMeansOfUnevenSharesIsCaught) {
  if (world().size() == 1) GTEST_SKIP() << "one rank has one share";
  EXPECT_GT(drift_of_mutated(Mutation::mean_of_means), 1e-3);
}

}  // namespace
}  // namespace partita::tests
