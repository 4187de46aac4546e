/// The Hopper kernel's entry for the family.
#pragma once

#include "family.hpp"

namespace partita::kernels::cuda::gemm {

/// See hopper_bf16.cu. Not for matrices whose data or rows do not lie on 16 bytes, nor for row sums of
/// a C without columns.
extern const Kernel hopper_bf16;

}  // namespace partita::kernels::cuda::gemm
