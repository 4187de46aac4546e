/// What kernels are asked for, in formulae with shapes: the extents and options of each operation.
///
/// Symbols: B batch (samples of this rank), C channels, H W image, K filters, M N K matrix extents.
#pragma once

#include <cstdint>

#include "partita/kernels/extents.hpp"

namespace partita::kernels {

/// Whether a result replaces what its view holds or is added to it (gradients over micro-batches).
enum class Write { overwrite, accumulate };

/// What a producer does to its result before storing it: nothing; max(0, ·); or keep it where a mask is
/// positive and store 0 elsewhere (products only: the gradient of a ReLU whose result is the mask).
enum class Epilogue { none, relu, relu_mask };

/// C = epilogue(alpha·op(A)·op(B) + beta·C [+ bias, one value per column]); op(A) is [m, k], op(B) is [k, n],
/// C is [m, n]. Transposed operands are stored as [k, m] and [n, k]. With beta = 0 C is not read. k = 0
/// leaves epilogue(beta·C [+ bias]).
///
/// With `row_sums` also r[i] = alpha·Σ_k op(A)[i, k] + beta·r[i], r [m]: the bias gradient, where A is dYᵀ.
struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  /// Elements from a row of the stored A, B, C (and the mask, which lies as C) to the next; 0: dense.
  std::int64_t row_a = 0, row_b = 0, row_c = 0;
  double alpha = 1, beta = 0;
  bool bias = false;
  Epilogue epilogue = Epilogue::none;
  bool row_sums = false;
  [[nodiscard]] std::int64_t leading_a() const { return row_a > 0 ? row_a : transpose_a ? m : k; }
  [[nodiscard]] std::int64_t leading_b() const { return row_b > 0 ? row_b : transpose_b ? k : n; }
  [[nodiscard]] std::int64_t leading_c() const { return row_c > 0 ? row_c : n; }
  friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

/// Two-dimensional cross-correlation with zero padding, dilation 1.
/// X [batch, channels, height, width], W [filters, channels, kernel.h, kernel.w], Y [batch, filters, out_h,
/// out_w] with out = (extent + 2·padding − kernel) / stride + 1, rounded down; 0 where no window fits.
/// Without channels Y is the epilogue of the bias, without filters or outputs dX is 0. Without `bias` its
/// view and that of its gradient are empty, and it counts as 0.
struct ConvolutionShape {
  std::int64_t batch = 0, channels = 0, height = 0, width = 0;
  std::int64_t filters = 0;
  Extent2 kernel = 1, stride = 1, padding = 0;
  bool bias = true;
  Layout layout = Layout::nchw;
  Epilogue epilogue = Epilogue::none;
  friend bool operator==(const ConvolutionShape&, const ConvolutionShape&) = default;
  [[nodiscard]] std::int64_t out_height() const {
    return windows(height + 2 * padding.h, kernel.h, stride.h);
  }
  [[nodiscard]] std::int64_t out_width() const { return windows(width + 2 * padding.w, kernel.w, stride.w); }
};

enum class PoolingKind { maximum, average };

/// Pooling over windows without padding; a window that would leave the image is dropped, as PyTorch does.
/// Average divides by the kernel's area. On equal values the maximum's gradient goes to the first in
/// row-major order.
struct PoolingShape {
  PoolingKind kind = PoolingKind::maximum;
  std::int64_t batch = 0, channels = 0, height = 0, width = 0;
  Extent2 kernel = 2, stride = 2;
  Layout layout = Layout::nchw;
  Epilogue epilogue = Epilogue::none;
  friend bool operator==(const PoolingShape&, const PoolingShape&) = default;
  [[nodiscard]] std::int64_t out_height() const { return windows(height, kernel.h, stride.h); }
  [[nodiscard]] std::int64_t out_width() const { return windows(width, kernel.w, stride.w); }
};

/// Batch normalisation of each channel of [batch, channels, height, width]; of vectors height = width = 1.
///
/// With µ = Σx/N and σ² = Σx²/N − µ² over the N values of a channel on all ranks that normalise together:
///
///   x̂ = (x − µ)/√(σ² + ε),  y = epilogue(weight·x̂ + bias)
///
/// Outside training µ and σ² are the running ones. Ioffe and Szegedy 2015, arXiv:1502.03167.
struct BatchNormShape {
  std::int64_t batch = 0, channels = 0, height = 1, width = 1;
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< the part that a batch has in the running values
  Layout layout = Layout::nchw;
  Epilogue epilogue = Epilogue::none;
  friend bool operator==(const BatchNormShape&, const BatchNormShape&) = default;
};

/// What changes from step to step. Lies in the back-end's memory, where kernels read it when they run.
struct StepValues {
  double learning_rate = 0;
  /// 1 − β₁ᵗ and √(1 − β₂ᵗ) of the optimizer's t-th update: moments, which begin as zeros, are divided by
  /// them.
  double first_correction = 1, second_correction = 1;
  std::uint64_t dropout_seed = 0;  ///< a seed of this step's own
  std::int64_t step = 0;           ///< from 0
  double sample_share = 1;         ///< this rank's part of a mean of parameters
};

/// How many evenly spaced elements of a gradient, and of the parameters after an update, are tested for being
/// finite. So few are enough: values that are not finite spread with every product that they enter, and soon
/// fill most of a tensor.
inline constexpr std::int64_t looked_at = 64;

/// A dropout draw depends on (the step's seed, layer, sample, logical element) only. `elements` per sample
/// are stored as [channels, height, width] in `layout`; flat tensors have height = width = 1.
///
/// The stored block may be a shard of the sample: channels [first_channel, first_channel + channels) of
/// full_channels and rows [first_row, first_row + height) of full_height, of the whole width. Its element (c,
/// h, w) is the sample's logical element ((first_channel + c)·full_height + first_row + h)·width + w.
struct DropoutShape {
  std::int64_t batch = 0, channels = 0, height = 1, width = 1;
  Layout layout = Layout::nchw;
  double probability = 0.5;  ///< of being zeroed; survivors are scaled by 1 / (1 − probability)
  std::int64_t first_channel = 0, first_row = 0;
  std::int64_t full_channels = 0, full_height = 0;  ///< of the whole sample; 0: the block's own
  /// Logical elements of a channel, and of a sample, of the whole.
  [[nodiscard]] std::int64_t full_plane() const { return (full_height > 0 ? full_height : height) * width; }
  [[nodiscard]] std::int64_t full_elements() const {
    return (full_channels > 0 ? full_channels : channels) * full_plane();
  }
};

}  // namespace partita::kernels
