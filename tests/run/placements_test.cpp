/// Explicit placements train the model of one rank: every ordered pair of spreads along the kinds of layers
/// that can have them, and random chains. PARTITA_CHAINS (how many) and PARTITA_SEED choose other chains.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "../step/random_chains.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

/// A model on a grid: what its training ends with, and how far evaluation says that it came.
struct Trained {
  Tensors parameters;
  double test_loss = 0, test_accuracy = 0;
};

Trained train(const RandomChain& c, const data::DataPair& data, comm::Communicator& ranks,
              std::int64_t steps) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  Trial options{{.batch = c.batch,
                 .steps = steps,
                 .learning_rate = {.base = 0.05},
                 .optimizer = {.momentum = 0.9, .weight_decay = 1e-3},
                 .seed = 3,
                 .poison_released = true},
                c.split()};
  options.split.compression = {};
  if (options.split.norms.of_gradient) options.optimizer.clip_norm = 0.5;
  options.split.norms = step::norms_of(options.optimizer);
  if (ranks.size() == 1) {
    options.split.grid = {};
    options.split.pipeline = {.microbatches = c.model.takes_statistics() ? c.pipeline.microbatches : 1};
  }
  auto training = training_of(c.model, options, *backend, ranks, data);
  training.run({});
  Trained trained{.parameters = training.gather_parameters(state::Receivers::all)};
  if (steps == 0) return trained;
  EXPECT_TRUE(replicas_are_identical(training)) << to_string(c);
  trained.test_loss = training.epochs().back().test_loss.value();
  trained.test_accuracy = training.epochs().back().test_accuracy.value_or(0);
  return trained;
}

data::DataPair data_for(const RandomChain& c) {
  const bool classes = c.model.loss == model::Loss::cross_entropy;
  return random_data(classes ? data::Task::classification : data::Task::regression, c.model.input,
                     2 * c.batch + 1);
}

/// Tensors that hardly move, such as those behind a ReLU that is dead or shifts before a normalisation, are
/// measured against 1e-4 of their norm, or of ones where they begin as zeros.
double drift(const RandomChain& c, const Tensors& start, const Tensors& one, const Tensors& many) {
  double worst = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (c.model.layers[static_cast<std::size_t>(one[i].layer)].frozen) {
      if (many[i].values != start[i].values) return INFINITY;
      continue;
    }
    const double size = norm(start[i].values), ones = std::sqrt(static_cast<double>(start[i].values.size()));
    const double moved =
        std::max(norm(difference(one[i].values, start[i].values)), 1e-4 * (size > 0 ? size : ones));
    const double drifted = norm(difference(many[i].values, one[i].values)) / moved;
    worst = std::isnan(drifted) ? INFINITY : std::max(worst, drifted);
  }
  return worst;
}

void expect_equivalence(const RandomChain& c) {
  const auto data = data_for(c);
  const auto start = train(c, data, alone_on_this_rank(), 0);
  const auto one = train(c, data, alone_on_this_rank(), 4);
  const auto many = train(c, data, world(), 4);
  EXPECT_LE(drift(c, start.parameters, one.parameters, many.parameters), 1e-10) << to_string(c);
  EXPECT_NEAR(many.test_loss, one.test_loss, 1e-10 * std::abs(one.test_loss)) << to_string(c);
  EXPECT_EQ(many.test_accuracy, one.test_accuracy) << to_string(c);
}

RandomChain chain(const std::string& input, std::vector<std::string> layers) {
  RandomChain c{.input = input, .layers = std::move(layers), .loss = "cross-entropy", .batch = 4};
  c.model = model_of(c.input, c.layers);
  c.grid = {.tensor = world().size()};
  c.pipeline.microbatches = 1;
  return c;
}

const std::vector<std::string> image_spreads{"replicated", "batch", "column", "row", "height"};

/// Layers `first` and `second` in every ordered pair of placements; `row` is for layers with parameters.
std::vector<RandomChain> pairs(const std::string& input, const std::string& first,
                               const std::string& second) {
  const bool image = input.find('x') != std::string::npos;
  const auto takes = [&](const std::string& layer, const std::string& spread) {
    const bool sums = layer.starts_with("conv") || layer.starts_with("linear");
    return (sums || spread != "row") && (image || spread != "height");
  };
  std::vector<RandomChain> all;
  for (const auto& a : image_spreads)
    for (const auto& b : image_spreads) {
      if (!takes(first, a) || !takes(second, b)) continue;
      std::vector<std::string> layers{first + " placement=" + a, second + " placement=" + b, "linear 5"};
      if (image) layers.insert(layers.begin(), "conv 3 kernel=1"), layers.insert(layers.end() - 1, "flatten");
      all.push_back(chain(input, layers));
    }
  return all;
}

/// Halos of two rows on both sides, where a rank of six has one row or none.
std::vector<RandomChain> pairs_of_convolutions() {
  return pairs("2x5x4", "conv 4 kernel=5 padding=2", "conv 3 kernel=5x3 padding=2x1 bias=false");
}

/// Every third of them: each placement before and after another.
TEST(Placements, SomePairsOfConvolutionsAreTheSameModelAsOnOneRank) {
  const auto all = pairs_of_convolutions();
  for (std::size_t i = 1; i < all.size(); i += 3)
    expect_equivalence(all[i]);
}

TEST(Placements, SomeRandomChainsAreTheSameModelAsOnOneRank) {
  ChainDraw draw(static_cast<std::uint64_t>(world().size()));
  for (int i = 0; i < 6; ++i)
    expect_equivalence(draw.draw(world().size()));
}

TEST(Placements, ThePiecesForOverlappingWindowsMayExceedAShareOfTheSamples) {
  auto c =
      chain("1x3x4", {"relu placement=batch", "maxpool 2 stride=1 placement=height", "flatten", "linear 5"});
  c.batch = world().size();
  expect_equivalence(c);
}

TEST(Exhaustive, EveryPairOfPlacementsIsTheSameModelAsOnOneRank) {
  const std::string conv = "conv 4 kernel=3 padding=1", pool = "maxpool 3 stride=1", relu = "relu";
  for (const auto& [first, second] : {std::pair{conv, pool},
                                      {pool, conv},
                                      {conv, relu},
                                      {relu, conv},
                                      {pool, relu},
                                      {relu, pool},
                                      {std::string("avgpool 2"), conv}})
    for (const auto& c : pairs("2x7x5", first, second))
      expect_equivalence(c);
  for (const auto& c : pairs_of_convolutions())
    expect_equivalence(c);
  for (const auto& c : pairs("7", "linear 6", "linear 4"))
    expect_equivalence(c);
}

int from_environment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atoi(value) : otherwise;
}

TEST(Exhaustive, RandomChainsAreTheSameModelAsOnOneRank) {
  const int seed = from_environment("PARTITA_SEED", 20261128),
            count = from_environment("PARTITA_CHAINS", 150);
  ChainDraw draw(static_cast<std::uint64_t>(seed) * 100 + static_cast<std::uint64_t>(world().size()));
  for (int i = 0; i < count; ++i) {
    const auto c = draw.draw(world().size());
    SCOPED_TRACE("chain " + std::to_string(i) + " of seed " + std::to_string(seed));
    expect_equivalence(c);
  }
}

}  // namespace
}  // namespace partita::tests
