/// dW and db of a convolution as a product over pixels. See parameters.cu.
#pragma once

#include "convolution/geometry.hpp"
#include "convolution/tiling.hpp"

namespace partita::kernels::cuda::convolution {

/// dweight[filter, tap] (+)= Σ_pixels dy[sample, filter, position]·image(tap, pixel), the pixel being
/// (sample, position), and dbias[filter] (+)= Σ_pixels dy[sample, filter, position].
struct ParameterProduct {
  Gather g;
  const float *dy = nullptr, *image = nullptr;
  float *dweight = nullptr, *dbias = nullptr;  ///< dbias: null where there is no bias
  float* parts = nullptr;  ///< [splits, filters, taps + 1]: sums of each split, where there are several
  int filters = 0;
  int splits = 1, slices = 0;
  bool accumulate = false;
};

/// Device memory for the sums of the splits.
constexpr std::int64_t part_floats(const ParameterTiling& tiling, std::int64_t filters, std::int64_t taps) {
  return tiling.splits > 1 ? tiling.splits * filters * (taps + 1) : 0;
}

void run(const ParameterProduct&, const ParameterTiling&, cudaStream_t);

}  // namespace partita::kernels::cuda::convolution
