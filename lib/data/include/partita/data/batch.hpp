/// From samples of a data set to what the first layer reads: gathered, scaled, normalised, in the layout
/// asked for.
#pragma once

#include <cstdint>
#include <span>

#include "partita/data/dataset.hpp"
#include "partita/kernels/view.hpp"

namespace partita::data {

/// x[b] = (sample[indices[b]] − mean) / stddev, images first scaled to [0, 1]; y[b] = its label or target.
///
/// Shapes: x [indices, sample_shape] float32 or float64, images in `layout` (sample shapes of another rank
/// than 3 have
///         no layout); y [indices] int32 labels, or [indices, target_shape] float32 or float64 targets.
/// An empty `y` asks for the samples only. No indices: nothing is written. Allocates nothing.
/// Errors: `base::ContractError` for views of another size or type and for indices outside the set.
void fill_batch(const Dataset&, std::span<const std::int64_t> indices, kernels::Layout layout,
                kernels::View x, kernels::View y);

}  // namespace partita::data
