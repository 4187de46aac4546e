/// Y and dX of a convolution as a product of the filters and the gathered image. See gather.cu.
#pragma once

#include "convolution/geometry.hpp"
#include "convolution/tiling.hpp"

namespace partita::kernels::cuda::convolution {

/// out[sample, row, position] = epilogue(Σ_taps weight[row, tap]·image(tap, pixel) [+ bias[row]]), where the
/// pixel is (sample, position) and out holds `rows` planes of g.plane pixels a sample.
struct GatherProduct {
  Gather g;
  const float *weight = nullptr, *image = nullptr;
  const float* bias = nullptr;  ///< [rows] or null
  float* out = nullptr;
  int rows = 0;
  bool relu = false;
};

void run(const GatherProduct&, GatherTile, cudaStream_t);

}  // namespace partita::kernels::cuda::convolution
