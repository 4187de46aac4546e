/// From float32 to bfloat16, as products in bfloat16 take their operands.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace partita::kernels::cuda {

/// A matrix [rows, columns] whose rows are `row_from` elements apart, to bfloat16 (rounded to nearest, ties
/// to even) with rows of `row_to` ≥ columns elements; what lies behind a row is set to 0.
void to_bf16(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t row_from,
             __nv_bfloat16* to, std::int64_t row_to, cudaStream_t);

}  // namespace partita::kernels::cuda
