/// How often a step passes over which layer.
#pragma once

#include "partita/model/model.hpp"

namespace partita::model {

/// The lowest layer whose parameters are trained, the number of layers where none are: no gradient is needed
/// below it.
int lowest_trained_layer(const ModelSpec&);

/// Passes of a step: one forward; one for the gradients of the layer's parameters, if they are trained; one
/// for the gradient of its input, above the lowest trained layer.
int passes_over(const ModelSpec&, int layer);

}  // namespace partita::model
