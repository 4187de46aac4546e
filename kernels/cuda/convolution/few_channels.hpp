/// Y of a convolution of few channels, directly. See few_channels.cu.
#pragma once

#include "convolution/geometry.hpp"
#include "convolution/tiling.hpp"

namespace partita::kernels::cuda::convolution {

/// Y = epilogue(X ⋆ W + bias), without a bias where that is null; `taps` as everywhere (channel, row,
/// column).
struct DirectForward {
  const float *x = nullptr, *weight = nullptr, *bias = nullptr;
  float* y = nullptr;
  int channels = 0, height = 0, width = 0;
  int filters = 0, taps = 0;
  int out_height = 0, out_width = 0;
  int stride_h = 1, stride_w = 1, padding_h = 0, padding_w = 0;
  int block_rows = 0, block_filters = 0;
  int patch_height = 0, patch_width = 0;
  bool relu = false;
  Divisor all_taps, window, window_row, row, patch_row, patch_plane;
};

DirectForward direct_forward(const ConvolutionShape&, const DirectTiling&);
void run(const DirectForward&, const DirectTiling&, std::int64_t batch, cudaStream_t);

}  // namespace partita::kernels::cuda::convolution
