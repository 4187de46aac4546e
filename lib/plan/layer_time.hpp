/// How long a layer as it is placed keeps the busiest rank of the tensor axis.
#pragma once

#include "partita/cost/time.hpp"
#include "partita/step/plan.hpp"

namespace partita::plan {

/// Tensors are taken to be fp32: what is chosen is the same for every type.
inline constexpr auto element_type = kernels::DataType::float32;

/// A layer of the model on a tensor axis of `ranks` ranks.
struct PlacedLayer {
  const model::ModelSpec& model;
  int layer;
  const step::LayerPlacement& placement;
  int ranks;
};

/// All passes of a step over `samples` samples.
double passes_picoseconds(const PlacedLayer&, std::int64_t samples, const machine::Machine&);

/// Trained parameters of a rank.
kernels::Elements trained_of_rank(const PlacedLayer&);

}  // namespace partita::plan
