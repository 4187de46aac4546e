/// Which layers form which chunk of the pipeline: the cut of a chain that makes the costliest chunk cheapest.
#pragma once

#include <vector>

#include "partita/base/error.hpp"
#include "partita/step/build.hpp"

namespace partita::plan {

/// Cost of a training step by layer, in FLOPs of a sample on the busiest rank; the passes below the lowest
/// trained layer are not counted.
std::vector<double> layer_costs(const model::ModelSpec&, const step::ModelPlacement&);

/// The exact optimum for a chain (dynamic programme over cuts); among equals the one whose boundaries carry
/// the fewest elements and part no ReLU from the layer before it. `stage=` on a layer line pins its stage,
/// where there are several. What cannot be done is appended to `violations`, with the nearest value.
step::Partition partition(const model::ModelSpec&, const step::ModelPlacement&, int stages,
                          int chunks_of_stage, std::vector<base::Violation>& violations);

}  // namespace partita::plan
