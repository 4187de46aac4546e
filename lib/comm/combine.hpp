/// Element-wise combination of buffers: the arithmetic of reductions.
#pragma once

#include <span>

#include "partita/collective/rounds.hpp"
#include "partita/kernels/data_type.hpp"

namespace partita::comm {

/// target[i] = target[i] ∘ source[i] (or source[i] for copy) for n elements.
void combine_into(void* target, const void* source, std::int64_t n, kernels::DataType, collective::Combine);

/// target[i] = sources[0][i] ∘ sources[1][i] ∘ …, in that order; target may be one of the sources.
void combine_sources(void* target, std::span<const void* const> sources, std::int64_t n, kernels::DataType,
                     collective::Combine);

}  // namespace partita::comm
