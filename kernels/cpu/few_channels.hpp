/// Convolutions with few channels, channels last and without padding, by own loops.
///
/// oneDNN pads channels to the vector's 16 lanes and keeps blocked layouts in mind; on the MNIST CNN (1 → 10
/// and 10 → 20 channels) it reaches 27–45 % of the FMA peak forward and 36–38 % in the weight gradient.
/// Measured on one Zen 5 core at batch 64, milliseconds: forward 0.25 → 0.14 and 0.34 → 0.24, weight gradient
/// 0.19 → 0.17 and 0.40 → 0.22. Wider layers stay with oneDNN: partita/kernels/few_channels.hpp has the
/// limits.
#pragma once

#include "partita/kernels/few_channels.hpp"

namespace partita::kernels::cpu {

/// Y = epilogue(X ⋆ W + bias): for a block of pixels of a row, each value of the window is broadcast against
/// the vector of all filters.
class DirectForward {
 public:
  DirectForward(const ConvolutionShape&, int threads);
  [[nodiscard]] std::size_t workspace() const;
  /// `bias` is null where there is none.
  void run(const float* x, const float* weight, const float* bias, float* y, std::byte* workspace) const;

 private:
  void pack(const float* weight, const float* bias, float* packed) const;

  ConvolutionShape s_;
  int threads_;
  std::int64_t vectors_;  ///< of 16 filters
};

/// dW[k, c, i, j] = Σ_{n, y, x} dY[n, y, x, k] · X[n, y·s + i, x·s + j, c]: at each pixel the outer product
/// of the filters' gradients and the window, whose rows of kernel.w·C values lie contiguously. The lanes run
/// along the longer side.
class OuterProductGradient {
 public:
  OuterProductGradient(const ConvolutionShape&, int threads);
  [[nodiscard]] std::size_t workspace() const;
  /// dW [filters, channels, kernel.h, kernel.w], overwritten or added to.
  void run(const float* x, const float* dy, float* dweight, Write, std::byte* workspace) const;

 private:
  struct Walk;
  [[nodiscard]] Walk walk() const;
  void unpack(const float* sums, float* dweight, Write) const;

  ConvolutionShape s_;
  int threads_;
  bool filters_in_lanes_;  ///< else the values of a window row
  std::int64_t vectors_;   ///< of 16 lanes
  std::int64_t blocks_;    ///< independent parts of dW: of five filters and a window row, or all of it
};

}  // namespace partita::kernels::cpu
