/// Which convolutions the CPU back-end computes by loops of its own instead of a library's, and how much
/// these compute: channels last, no padding, and few channels.
#pragma once

#include "partita/kernels/backend.hpp"

namespace partita::kernels {

/// How they cut their work.
namespace own_loops {
inline constexpr std::int64_t lanes = 16;  ///< of a vector
/// Filters, or values of a window row, whose gradients are summed up together.
inline constexpr std::int64_t group = 5;
/// Pixels of a row that are computed together: blocks of this many filter vectors, what is left of a row in
/// narrow ones, the rest alone.
constexpr std::int64_t wide(std::int64_t vectors) { return vectors == 1 ? 12 : 8; }
inline constexpr std::int64_t narrow = 4;
}  // namespace own_loops

/// Up to 32 filters, windows of fewer than 16 channels.
bool has_own_forward(const ConvolutionShape&);
/// Window rows of 9 to 64 values and fewer than 16 channels, or up to 16 filters and a window of up to 5×5
/// values.
bool has_own_gradient(const ConvolutionShape&);

/// FLOPs of the forward pass by own loops, with lanes that no filter fills, and with what the pipelines of
/// the FMA could do while sums wait for each other. 0 where it has none.
double flops_of_own_forward(const ConvolutionShape&);
/// The same of the weight gradient.
double flops_of_own_gradient(const ConvolutionShape&);

}  // namespace partita::kernels
