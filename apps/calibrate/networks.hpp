/// Which networks are trained to time their kernels: random ones, small enough for a budget, of the kinds
/// that people train.
#pragma once

#include <cstdint>
#include <string>

#include "partita/kernels/optimizer.hpp"
#include "partita/model/parse.hpp"
#include "partita/step/split.hpp"
#include "partita/topology/grid.hpp"

namespace partita::calibrate {

/// A network with a batch, as ranks train it.
struct Network {
  model::ModelText text;
  topology::GridExtent grid = {};
  std::int64_t batch = 1;
  int microbatches = 1;
  bool deterministic = false;  ///< with each micro-batch a grain
  kernels::OptimizerRule optimizer = kernels::OptimizerRule::sgd;
  bool clips = false;  ///< its gradient, by the norm
  step::Split split = step::Split::none;
  kernels::Codec codec = kernels::Codec::none;
  bool averages = false;  ///< its parameters in every step, with an outer step behind
  std::string name;       ///< what it is, in a few words: "mlp 784-128-10 b64"
};

/// What a network may take of memory and time.
struct Limits {
  double step_flops = 0;
  double activation_bytes = 0;
};

/// Network number `index` of a seed: perceptrons and convolutional nets in turn, every extent drawn from an
/// even distribution of its logarithm, half of them multiples of 16, as people choose them. Layers of the
/// shipped models are left out: predictions are validated on those. Among several ranks a third of the
/// networks is for each alone, a third for data ranks, a third for the tensor axis, with placements drawn,
/// too.
Network draw_network(std::uint64_t seed, std::uint32_t index, int ranks, const Limits&);

/// The fixed product by which the drift of a machine is seen: the forward pass of one linear layer.
Network reference_network();

/// Parses the text, which is sound.
model::ModelSpec model_of(const Network&);

}  // namespace partita::calibrate
