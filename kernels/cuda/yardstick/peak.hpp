/// What the arithmetic units do at most.
#pragma once

#include <cuda_runtime.h>

#include "gemm/family.hpp"

namespace partita::kernels::cuda::yardstick {

/// Issues it; floating-point operations, a multiply-add counted as two.
double issue_peak(gemm::Arithmetic, const gemm::Chip&, int rounds, cudaStream_t);

/// Whether the peak of this arithmetic is wgmma's.
bool peak_is_wgmma(gemm::Arithmetic, const gemm::Chip&);

}  // namespace partita::kernels::cuda::yardstick
