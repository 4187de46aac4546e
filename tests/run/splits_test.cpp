/// Whatever ranks have shares of, a step does what it does without a split: the same parameters, losses and
/// norms to the bit, whichever way gradients are added.
#include <gtest/gtest.h>

#include <algorithm>

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

/// Where ranks of a data group are no others than those of a tensor group nothing is split.
bool is_split(const Decomposition& d) { return d.grid.data * d.grid.tensor > 1; }

void expect_the_bits_of_no_split(std::vector<Decomposition> all, Algorithm algorithm) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto nets = cases();
  for (auto& d : all) {
    if (!is_split(d)) continue;
    const auto& c = nets[d.net];
    const auto whole = train(c, d, algorithm, *backend);
    for (const auto& [split, gather] : splits) {
      if (split == step::Split::none) continue;
      d.split = split, d.gather = gather;
      EXPECT_TRUE(train(c, d, algorithm, *backend) == whole)
          << to_string(d) << " by " << to_string(algorithm);
    }
    d.split = step::Split::none;
  }
}

std::vector<Decomposition> data_parallel() {
  std::vector<Decomposition> all;
  std::size_t i = 0;
  for (const auto rule :
       {OptimizerRule::sgd, OptimizerRule::nesterov, OptimizerRule::adam, OptimizerRule::adamw})
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
  auto all = with_choices_in_turn(thinned(pairs_on_all_ranks()));
  for (auto& d : all)
    if (kernels::describe(d.rule).takes_norms) d.rule = OptimizerRule::adamw;
  expect_the_bits_of_no_split(all, Algorithm::automatic);
}

}  // namespace
}  // namespace partita::tests
