/// Which convolutions the CPU back-end computes by loops of its own instead of a library's, and how much these
/// compute: channels last, no padding, and few channels.
#pragma once

#include "partita/kernels/backend.hpp"

namespace partita::kernels {

/// FLOPs of the forward pass by own loops, with lanes that no filter fills, and with what the pipelines of the
/// FMA could do while sums wait for each other. 0: a library computes it. Up to 32 filters, windows of fewer
/// than 16 channels.
double flops_of_own_forward(const ConvolutionShape&);

/// The same of the weight gradient. Window rows of 9 to 64 values and fewer than 16 channels, or up to 16
/// filters and a window of up to 5×5 values.
double flops_of_own_gradient(const ConvolutionShape&);

}  // namespace partita::kernels
