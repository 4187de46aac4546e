/// The passes of batch normalisation over all elements: each function puts its work on a stream and returns.
/// Pointers are to device memory; the formulae are those of `kernels::BatchNorm`.
#pragma once

#include "batch_norm/moments.hpp"
#include "batch_norm/tiles.hpp"

namespace partita::kernels::cuda::batch_norm {

/// sums [2, channels]; `parts` is room for `elements_of_parts`. The batch is not empty.
void add_statistics(const Geometry&, const float* x, double* sums, double* parts, cudaStream_t);
void add_gradients(const Geometry&, const Moments&, const float* x, const float* dy, double* sums,
                   double* parts, cudaStream_t);

/// Null for `weight` and `bias` is 1 and 0. x, dy and the result are views of their own.
struct Affine {
  const float *weight = nullptr, *bias = nullptr;
};
void normalise(const Geometry&, const Moments&, const Affine&, bool relu, const float* x, float* y,
               cudaStream_t);
/// By the moments of a batch, and by running ones, for which x does not matter.
void gradient_through_batch(const Geometry&, const Moments&, const double* gradient_sums, const float* weight,
                            const float* x, const float* dy, float* dx, cudaStream_t);
void gradient_through_running(const Geometry&, const Moments&, const float* weight, const float* dy,
                              float* dx, cudaStream_t);

}  // namespace partita::kernels::cuda::batch_norm
