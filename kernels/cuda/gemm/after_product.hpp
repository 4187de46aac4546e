/// What follows a product where a library computes the product itself only: one kernel for the epilogue's
/// rest and one for row sums.
#pragma once

#include "family.hpp"

namespace partita::kernels::cuda::gemm {

/// C = mask or ReLU of (C [+ bias]), in place; which of them as the arguments say, the bias only where
/// `with_bias`.
void finish_in_place(const Arguments&, bool with_bias, cudaStream_t);

/// r[i] = alpha·Σ_k op(A)[i, k] + beta·r[i]; A is bfloat16 or float32. One block for 32 rows, sums in a fixed
/// order.
void add_row_sums(const Arguments&, bool a_is_bf16, cudaStream_t);

}  // namespace partita::kernels::cuda::gemm
