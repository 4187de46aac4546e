/// From samples of a data set to what the first layer reads: gathered, scaled, normalised, in the layout
/// asked for.
#pragma once

#include <cstdint>
#include <span>

#include "partita/data/dataset.hpp"
#include "partita/kernels/view.hpp"

namespace partita::data {

/// x[b] = (sample[indices[b]] − mean) / stddev, each channel by its own; images first scaled to [0, 1].
///
/// Shapes: x [indices, sample_shape] float32 or float64, images in `layout` (sample shapes of another rank
/// than 3 have no layout). No indices: nothing is written. Allocates nothing.
/// Errors: `base::ContractError` for views of another size or type and for indices outside the set.
void fill_samples(const Dataset&, std::span<const std::int64_t> indices, kernels::Layout layout,
                  kernels::View x);

/// y[b] = label or target of sample indices[b]; y [indices] int32 labels, or [indices, target_shape] float32
/// or float64 targets. Errors as above.
void fill_answers(const Dataset&, std::span<const std::int64_t> indices, kernels::View y);

}  // namespace partita::data
