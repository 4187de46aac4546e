/// Sums of buffers that lie in the memory of several processes or devices.
#pragma once

#include <cuda_runtime.h>

#include <span>

#include "partita/kernels/view.hpp"

namespace partita::kernels::cuda {

/// to[i] = ((terms[0][i] + terms[1][i]) + terms[2][i]) + …; `to` may be one of the terms. Throws
/// std::logic_error where there are no terms, or views of another size or type than T; std::length_error for
/// more than 256.
template <class T>
void add_buffers(View to, std::span<const ConstView> terms, cudaStream_t);

}  // namespace partita::kernels::cuda
