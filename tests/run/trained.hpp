/// A decomposition trained on all ranks, with what must hold of any of them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "drift.hpp"

namespace partita::tests {

/// Whether ranks of the training that hold the same part of a layer hold the same bits. Nothing to compare
/// where each holds shares of its own, as servers do. Collective over the world, also where each rank trains
/// alone.
inline bool replicas_are_identical(const run::Training& training) {
  if (training.program().split == step::Split::parameter && training.program().servers == 0) return true;
  const kernels::ConstView mine = training.parameters().weights_on_host();
  auto texts = world().all_gather_text(
      {static_cast<const char*>(mine.data()), static_cast<std::size_t>(mine.bytes().value())},
      collective::Purpose::control);
  const auto& program = training.program();
  const auto& programs = training.roles().by_rank;
  bool identical = true;
  for (std::size_t r = 0; r < programs.size(); ++r) {
    const auto& other = *programs[r];
    if (other.at.pipeline != program.at.pipeline || program.serves() || other.serves()) continue;
    const kernels::View theirs(texts[r].data(), other.type, other.parameter_count);
    for (const auto u : program.units.ids()) {
      const auto &a = program.parameters[u], &b = other.parameters[u];
      if (!a.replicated && other.at.tensor != program.at.tensor) continue;
      for (std::size_t t = 0; t < model::most_parameters; ++t) {
        const kernels::ConstView x = state::parts_of(mine, a)[t];
        const kernels::View y = state::parts_of(theirs, b)[t];
        identical &= x.size() == y.size() &&
                     std::memcmp(x.data(), y.data(), static_cast<std::size_t>(x.bytes().value())) == 0;
      }
    }
  }
  return identical;
}

/// A linear layer on 13 features, of which the last is so large in the first `samples` samples that gradients
/// of its weights are infinite; the loss is finite where these weights are 0 (`forget_large_feature`).
inline Case with_infinite_gradients(std::size_t samples) {
  auto c = cases()[4];
  c.model = model_of("13", {"linear 3"}, "mse");
  for (std::size_t i = 0; i < samples; ++i)
    c.data.train.features[13 * i + 12] = 3e38F;
  for (float& target : c.data.train.targets)
    target += 1000;
  return c;
}
inline void forget_large_feature(run::Training& training) {
  auto weights = training.gather_parameters(state::Receivers::all).front();
  for (std::size_t i = 12; i < weights.values.size(); i += 13)
    weights.values[i] = 0;
  training.set_parameter(weights);
}

/// Trains one decomposition on all ranks. The memory that was alive at once is what the formula says.
inline Tensors train(const Case& c, const Decomposition& d, kernels::Backend& backend) {
  const auto model = placed(c.model, d.placing);
  const auto options = options_for(c, d);
  auto training = training_of(model, options, backend, world(), c.data);
  training.run({});
  EXPECT_TRUE(replicas_are_identical(training)) << to_string(d);
  const auto& program = training.program();
  const int data = topology::coordinate_of(d.grid, world().rank()).data;
  // A smaller batch may need more: its samples can lie in other micro-batches.
  kernels::Bytes peak{};
  for (const auto batch : run::batch_sizes(c.batch, c.data.train.samples.value()))
    peak = std::max(peak, step::peak_live_bytes(program, data, batch));
  EXPECT_EQ(training.executor().peak_live_bytes(), peak) << to_string(d);
  return training.gather_parameters(state::Receivers::all);
}

}  // namespace partita::tests
