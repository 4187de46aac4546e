/// Training under every decomposition equals training on one rank: differences are measured against how far
/// training moved, tensor by tensor, and a tensor that did not move fails as vacuous.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "../mpi_main.hpp"
#include "covering_array.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

using kernels::DataType;

void expect_equivalence(const std::vector<Decomposition>& all, kernels::Backend& backend, bool smooth,
                        double tolerance) {
  References references(backend);
  auto nets = cases();
  for (const auto& d : with_choices_in_turn(all)) {
    auto& c = nets[d.net];
    if (smooth) c.model = model::smooth_twin(c.model);
    const auto& reference = references.of(c, d);
    EXPECT_LE(largest_drift(c.model, reference.start, reference.end, train(c, d, backend)), tolerance)
        << to_string(d);
  }
}

/// Data ranks of equal weights, and of different ones, in turn.
std::vector<Decomposition> every_other_weighted(std::vector<Decomposition> all) {
  const auto weighted = with_weights_in_turn(all);
  for (std::size_t i = 1; i < all.size(); i += 2)
    all[i] = weighted[i];
  return all;
}

std::vector<Decomposition> data_parallel() {
  std::vector<Decomposition> all;
  for (std::size_t net = 0; net < cases().size(); ++net)
    all.push_back({net, {.data = world().size()}, step::Schedule::one_f_one_b, 1, Placing::cheapest});
  return all;
}

TEST(Equivalence, EveryNetInDoubleIsTheSameModelAsOnOneRank) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  expect_equivalence(thinned(data_parallel()), *backend, false, 1e-10);
}

TEST(Equivalence, EveryPairOfChoicesInDoubleIsTheSameModelAsOnOneRank) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  expect_equivalence(every_other_weighted(thinned(pairs_on_all_ranks())), *backend, false, 1e-10);
}

TEST(Equivalence, SmoothTwinsInSinglePrecisionStayWithinRounding) {
  const auto backend = kernels::make_cpu_backend(1);
  expect_equivalence(with_weights_in_turn(thinned(data_parallel())), *backend, true, 1e-4);
  const auto pairs = thinned(pairs_on_all_ranks());
  std::vector<Decomposition> some;
  for (std::size_t i = 0; i < pairs.size(); i += 3)
    some.push_back(pairs[i]);
  expect_equivalence(some, *backend, true, 1e-4);
}

/// A layer of one feature leaves all tensor ranks but one without parameters of it, in a bucket of its own.
TEST(Equivalence, EmptyBucketsInDoubleAreTheSameModelAsOnOneRank) {
  using comm::Algorithm;
  const auto backend = kernels::make_reference_backend(DataType::float64);
  auto c = cases()[1];
  c.model = model_of("13", {"linear 6 placement=column", "linear 1 placement=column",
                            "linear 4 placement=column", "linear 5 placement=row"});
  const auto rule = kernels::OptimizerRule::nesterov;  // whose gradient is clipped
  const auto reference = reference_of(c, *backend, rule);
  const int ranks = world().size();
  std::vector<std::pair<int, Algorithm>> all;
  for (const int tensor : std::set{2, 3, 4, ranks})
    for (const auto algorithm : {Algorithm::ring, Algorithm::window, Algorithm::mpi})
      if (ranks % tensor == 0) all.emplace_back(tensor, algorithm);
  for (const auto& [tensor, algorithm] : thinned(all)) {
    auto options = options_for(c, topology::GridExtent{.data = ranks / tensor, .tensor = tensor}, rule);
    options.split.bucket_bytes = kernels::Bytes(1);
    options.split.algorithm = algorithm;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    training.run({});
    EXPECT_LE(largest_drift(c.model, reference.start, reference.end,
                            training.gather_parameters(state::Receivers::all)),
              1e-10)
        << to_string(options.split.grid) << " algorithm " << static_cast<int>(algorithm);
  }
}

TEST(Equivalence, EveryAlgorithmInDoubleIsTheSameModelAsOnOneRank) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  const auto c = cases()[1];
  const auto reference = reference_of(c, *backend);
  const std::vector all(collective::algorithms().begin(), collective::algorithms().end());
  for (const auto algorithm : thinned(all)) {
    auto options = options_for(c, topology::GridExtent{.data = world().size()});
    options.split.algorithm = algorithm;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    training.run({});
    EXPECT_LE(largest_drift(c.model, reference.start, reference.end,
                            training.gather_parameters(state::Receivers::all)),
              1e-10)
        << to_string(algorithm);
    EXPECT_TRUE(replicas_are_identical(training)) << to_string(algorithm);
  }
}

TEST(Equivalence, TheSameRunTwiceIsTheSameBits) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[5];
  const std::vector<topology::GridExtent> grids{{.data = world().size()}, {.tensor = world().size()}};
  for (const auto& grid : thinned(grids)) {
    std::vector<std::vector<double>> first;
    for (int repetition = 0; repetition < 2; ++repetition) {
      auto training = training_of(c.model, options_for(c, grid), *backend, world(), c.data);
      training.run({});
      std::vector<std::vector<double>> values;
      for (auto& tensor : training.gather_parameters(state::Receivers::all))
        values.push_back(std::move(tensor.values));
      if (repetition == 0) first = values;
      EXPECT_EQ(first, values);
    }
  }
}

/// In the deterministic mode every grid of data ranks and stages gives the bits of one rank, clipped or not.
TEST(Deterministic, EveryGridOfDataAndPipelineGivesTheBitsOfOneRank) {
  const auto backend = kernels::make_cpu_backend(1);
  using Rule = kernels::OptimizerRule;
  for (const auto& [net, rule] : {std::pair{1, Rule::sgd}, {3, Rule::nesterov}, {5, Rule::lamb}}) {
    const auto c = cases()[static_cast<std::size_t>(net)];
    const auto bits = [&](const topology::GridExtent& grid, comm::Communicator& ranks,
                          step::Schedule schedule) {
      auto options = options_for(c, grid, rule);
      options.split.grains = 8;
      options.split.pipeline = {.schedule = schedule, .microbatches = 8 / grid.data};
      if (schedule == step::Schedule::interleaved) options.split.pipeline.chunks = 2;
      auto training = training_of(c.model, options, *backend, ranks, c.data);
      training.run({});
      std::vector<std::vector<double>> values;
      for (auto& tensor : training.gather_parameters(state::Receivers::all))
        values.push_back(std::move(tensor.values));
      std::vector<double> losses;
      for (const auto& step : training.steps()) {
        losses.push_back(step.loss);
        losses.push_back(step.gradient_norm.value_or(0));
      }
      values.push_back(std::move(losses));
      return values;
    };
    const auto one = bits({}, alone_on_this_rank(), step::Schedule::one_f_one_b);
    std::vector<std::pair<topology::GridExtent, step::Schedule>> all;
    for (const auto& grid : topology::nearest_grids({}, world().size(), 100)) {
      if (grid.tensor > 1 || 8 % grid.data != 0 || grid.pipeline > 5) continue;
      for (const auto schedule : {step::Schedule::gpipe, step::Schedule::one_f_one_b, step::Schedule::zb_h1})
        all.emplace_back(grid, schedule);
      if (2 * grid.pipeline <= std::ssize(c.model.layers))
        all.emplace_back(grid, step::Schedule::interleaved);
    }
    for (const auto& [grid, schedule] : thinned(all))
      EXPECT_EQ(bits(grid, world(), schedule), one) << c.name << ", " << to_string(grid);
  }
}

/// Every schedule × placing on every grid of this many ranks; for `--full`. All micro-batches and three nets
/// (two on 4 ranks) where ranks hardly exceed cores, the CNN beyond.
TEST(Exhaustive, EveryGridScheduleAndPlacingIsTheSameModelAsOnOneRank) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  const int ranks = world().size();
  const auto nets = ranks <= 3   ? std::vector<std::size_t>{5, 1, 7}
                    : ranks == 4 ? std::vector<std::size_t>{5, 1}
                                 : std::vector<std::size_t>{5};
  const auto microbatches = ranks <= 4   ? std::vector{1, 2, 5, 8}
                            : ranks == 6 ? std::vector{2, 5}
                                         : std::vector{5};
  std::vector<Decomposition> all;
  for (const auto net : nets)
    for (const auto& grid : topology::nearest_grids({}, ranks, 1000))
      for (int placing = 0; placing < (grid.tensor > 1 ? 7 : 1); ++placing)
        for (const auto schedule : {step::Schedule::one_f_one_b, step::Schedule::naive, step::Schedule::gpipe,
                                    step::Schedule::interleaved, step::Schedule::zb_h1})
          for (const int m : microbatches) {
            if (grid.pipeline > 5) continue;  // more stages than the smallest net has layers
            if (grid.pipeline == 1 && schedule != step::Schedule::one_f_one_b) continue;
            all.push_back({net, grid, schedule, m, static_cast<Placing>(placing)});
          }
  expect_equivalence(all, *backend, false, 1e-10);
}

}  // namespace
}  // namespace partita::tests
