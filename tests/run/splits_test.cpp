/// Whatever ranks have shares of, a step does what it does without a split: the same parameters, losses and
/// norms to the bit, whichever way gradients are added.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "../mpi_main.hpp"
#include "covering_array.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

using collective::Algorithm;
using kernels::OptimizerRule;

/// Parameters, then losses and norms of gradients.
using Bits = std::vector<std::vector<double>>;

Bits train(const Case& c, const Decomposition& d, Algorithm algorithm, kernels::Backend& backend) {
  const auto model = placed(c.model, d.placing);
  auto options = options_for(c, d);
  options.steps = 6;
  options.split.algorithm = algorithm;
  auto training = training_of(model, options, backend, world(), c.data);
  training.run({});
  Bits bits;
  for (auto& tensor : training.gather_parameters(state::Receivers::all))
    bits.push_back(std::move(tensor.values));
  bits.emplace_back();
  for (const auto& step : training.steps()) {
    bits.back().push_back(step.loss);
    bits.back().push_back(step.gradient_norm.value_or(0));
  }
  return bits;
}

/// Stages alone have no parameters in common.
bool can_share(const Decomposition& d) { return d.grid.data * d.grid.tensor > 1; }

void expect_the_bits_of_no_split(std::vector<Decomposition> all, Algorithm algorithm) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto nets = cases();
  // On more ranks than two, which share cores, one in five, another one by each algorithm.
  const std::size_t one_in = std::getenv("PARTITA_EVERY_CASE") || world().size() == 2 ? 1 : 5;
  for (std::size_t i = static_cast<std::size_t>(algorithm) % one_in; i < all.size(); i += one_in) {
    auto& d = all[i];
    if (!can_share(d)) continue;
    d.split = step::Split::none;
    const auto& c = nets[d.net];
    const auto whole = train(c, d, algorithm, *backend);
    for (const auto& [split, gather] : splits) {
      if (split == step::Split::none) continue;
      d.split = split, d.gather = gather;
      EXPECT_TRUE(train(c, d, algorithm, *backend) == whole)
          << to_string(d) << " by " << to_string(algorithm);
    }
  }
}

std::vector<Decomposition> data_parallel() {
  std::vector<Decomposition> all;
  std::size_t i = 0;
  for (const auto rule : optimizer_rules)
    for (std::size_t net = i++; net < cases().size(); net += 4)
      all.push_back({net, {.data = world().size()}, step::Schedule::one_f_one_b, 1, Placing::cheapest, rule});
  return all;
}

TEST(Splits, EveryNetAndOptimizerGivesTheBitsOfNoSplit) {
  expect_the_bits_of_no_split(thinned(data_parallel()), Algorithm::automatic);
}

TEST(Splits, EveryWayToAddGivesTheBitsOfNoSplit) {
  std::vector<Algorithm> all;
  for (const auto algorithm : collective::algorithms())
    if (collective::scatter_like(algorithm) == algorithm) all.push_back(algorithm);
  ASSERT_EQ(all.size(), 4U);
  const Decomposition d{1, {.data = world().size()}, step::Schedule::one_f_one_b,
                        1, Placing::cheapest,        OptimizerRule::nesterov};
  for (const auto algorithm : thinned(all))
    expect_the_bits_of_no_split({d}, algorithm);
}

TEST(Splits, EveryPairOfChoicesGivesTheBitsOfNoSplit) {
  expect_the_bits_of_no_split(with_choices_in_turn(thinned(pairs_on_all_ranks())), Algorithm::automatic);
}

/// Many buckets of equal size, each of which leaves its room to the one after the next.
TEST(Splits, TwoBucketsOfGradientsAtATimeGiveTheBitsOfNoSplit) {
  const auto backend = kernels::make_cpu_backend(1);
  auto c = cases()[1];
  std::vector<std::string> layers;
  for (int i = 0; i < 8; ++i)
    layers.insert(layers.end(), {"linear 8", "tanh"});
  layers.emplace_back("linear 5");
  c.model = model_of("13", layers);
  for (const auto rule : {OptimizerRule::adam, OptimizerRule::nesterov, OptimizerRule::lamb}) {
    Decomposition d{1, {.data = world().size()}, step::Schedule::one_f_one_b, 1, Placing::cheapest, rule};
    const auto whole = train(c, d, Algorithm::automatic, *backend);
    for (const auto& [split, gather] : splits) {
      d.split = split, d.gather = gather;
      const auto training = training_of(c.model, options_for(c, d), *backend, world(), c.data);
      const auto& program = training.program();
      const bool reuses = split == step::Split::gradient || split == step::Split::parameter;
      EXPECT_EQ(program.buckets.front().kept_gradients.has_value(), reuses) << to_string(d);
      EXPECT_EQ(program.gradient_count < program.trained_count, reuses) << to_string(d);
      EXPECT_TRUE(train(c, d, Algorithm::automatic, *backend) == whole) << to_string(d);
    }
  }
}

/// Infinite gradients of the weights of one feature, of which on four ranks the first has no share.
TEST(Splits, NoRankUpdatesWhereOneOfThemSeesWhatIsNotFinite) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = with_infinite_gradients(cases()[4].data.train.features.size() / 13);
  for (const auto& [split, gather] : splits) {
    if (split == step::Split::none) continue;  // looks at some elements of the gradient only
    Decomposition d{4, {.data = world().size()}, step::Schedule::one_f_one_b, 1, Placing::cheapest};
    d.split = split, d.gather = gather;
    auto options = options_for(c, d);
    options.steps = 1;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    forget_large_feature(training);
    const auto before = training.gather_parameters(state::Receivers::all);
    training.run({});
    const auto after = training.gather_parameters(state::Receivers::all);
    for (std::size_t t = 0; t < before.size(); ++t)
      EXPECT_TRUE(before[t].values == after[t].values) << to_string(d);
    EXPECT_EQ(training.executor().non_finite_step(), 0) << to_string(d);
  }
}

}  // namespace
}  // namespace partita::tests
