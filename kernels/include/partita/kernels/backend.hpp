/// The contract of the math: what every back-end computes, in formulae with shapes.
///
/// Kernels have two phases. `plan_*(shape)` picks and prepares an implementation and may allocate; the plan's
/// run functions take views and a workspace of at least `workspace()` bytes and may not allocate. Plans are
/// cached by the caller. All extents may be 0: an empty batch computes nothing, and writes zeros where the
/// result is a sum over the batch. Views hold `backend.type()` elements unless said otherwise. Image tensors
/// [N, C, H, W] lie in memory as `Layout` says; matrices and parameters are row-major in PyTorch's logical
/// order: Linear weight [out, in], Conv2d weight [out, in, kh, kw].
///
/// Symbols: B batch (samples of this rank), C channels, H W image, K filters, M N K matrix extents.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "partita/kernels/philox.hpp"
#include "partita/kernels/shape.hpp"
#include "partita/kernels/view.hpp"

namespace partita::kernels {

/// Whether a result replaces what its view holds or is added to it (gradients over micro-batches).
enum class Write { overwrite, accumulate };

/// What a producer does to its result before storing it: nothing, or max(0, ·).
enum class Epilogue { none, relu };

using Workspace = std::span<std::byte>;

/// A prepared kernel. Running it with a smaller workspace than this is a broken contract.
class Plan {
 public:
  virtual ~Plan() = default;
  [[nodiscard]] virtual Bytes workspace() const { return Bytes(0); }
};

/// C = op(A)·op(B) [+ bias, one value per column] then epilogue; op(A) is [m, k], op(B) is [k, n], C is [m,
/// n]. Transposed operands are stored as [k, m] and [n, k]. k = 0 gives C = bias (or 0).
struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool bias = false;
  Epilogue epilogue = Epilogue::none;
  Write write = Write::overwrite;
  friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

class Gemm : public Plan {
 public:
  /// `bias` [n] is read only when the shape asks for it.
  virtual void run(ConstView a, ConstView b, ConstView bias, View c, Workspace) = 0;
};

/// Two-dimensional cross-correlation, square strides and zero padding, dilation 1.
/// X [batch, channels, height, width], W [filters, channels, kernel_h, kernel_w], Y [batch, filters, out_h,
/// out_w] with out = (extent + 2·padding − kernel) / stride + 1, rounded down.
struct ConvolutionShape {
  std::int64_t batch = 0, channels = 0, height = 0, width = 0;
  std::int64_t filters = 0, kernel_h = 1, kernel_w = 1;
  std::int64_t stride = 1, padding = 0;
  Layout layout = Layout::nchw;
  Epilogue epilogue = Epilogue::none;
  friend bool operator==(const ConvolutionShape&, const ConvolutionShape&) = default;
  [[nodiscard]] std::int64_t out_height() const { return (height + 2 * padding - kernel_h) / stride + 1; }
  [[nodiscard]] std::int64_t out_width() const { return (width + 2 * padding - kernel_w) / stride + 1; }
};

/// The three directions of one convolution; a plan serves all of them so that they can share decisions.
class Convolution : public Plan {
 public:
  /// Y = epilogue(X ⋆ W + bias).
  virtual void forward(ConstView x, ConstView weight, ConstView bias, View y, Workspace) = 0;
  /// dX = dY ⋆ᵀ W, overwriting.
  virtual void backward_data(ConstView dy, ConstView weight, View dx, Workspace) = 0;
  /// dW = Σ_batch X ⋆ dY and db = Σ dY, overwriting or accumulating.
  virtual void backward_parameters(ConstView x, ConstView dy, View dweight, View dbias, Write, Workspace) = 0;
};

enum class PoolingKind { maximum, average };

/// Pooling over windows without padding; a window that would leave the image is dropped, as PyTorch does.
/// Average divides by kernel². On equal values the maximum's gradient goes to the first in row-major order.
struct PoolingShape {
  PoolingKind kind = PoolingKind::maximum;
  std::int64_t batch = 0, channels = 0, height = 0, width = 0;
  std::int64_t kernel = 2, stride = 2;
  Layout layout = Layout::nchw;
  Epilogue epilogue = Epilogue::none;
  friend bool operator==(const PoolingShape&, const PoolingShape&) = default;
  [[nodiscard]] std::int64_t out_height() const { return (height - kernel) / stride + 1; }
  [[nodiscard]] std::int64_t out_width() const { return (width - kernel) / stride + 1; }
};

class Pooling : public Plan {
 public:
  /// Y = epilogue(pool(X)). `winners` [elements of Y, uint8] receives, for maximum pooling, the position
  /// inside the window (row · kernel + column) that won; kernel ≤ 15.
  virtual void forward(ConstView x, View y, View winners, Workspace) = 0;
  /// dX from dY, overwriting; dY is the gradient after any epilogue mask was applied.
  virtual void backward(ConstView dy, ConstView winners, View dx, Workspace) = 0;
};

/// What softmax cross-entropy and mean squared error report of a batch, as sums (never means).
struct LossSums {
  double loss = 0;           ///< Σ over this rank's samples
  std::int64_t correct = 0;  ///< samples whose largest output is the label (classification only)
};

/// Momentum SGD as PyTorch's: g ← g + weight_decay·w; v ← momentum·v + g; w ← w − learning_rate·v.
struct SgdStep {
  double learning_rate = 0, momentum = 0, weight_decay = 0;
};

/// A dropout draw depends on (stream, global sample, logical element) only. `elements` per sample are stored
/// as [channels, height, width] in `layout`; flat tensors have height = width = 1.
struct DropoutShape {
  std::int64_t batch = 0, channels = 0, height = 1, width = 1;
  Layout layout = Layout::nchw;
  double probability = 0.5;  ///< of being zeroed; survivors are scaled by 1 / (1 − probability)
};

/// One way of computing everything: plain loops, the CPU's vector units, a GPU.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual DataType type() const = 0;
  /// Name and version of the library that it computes with; "none" where there is none.
  [[nodiscard]] virtual std::string library() const { return "none"; }
  /// The memory order this back-end wants image tensors in.
  [[nodiscard]] virtual Layout image_layout() const = 0;

  [[nodiscard]] virtual std::unique_ptr<Gemm> plan_gemm(const GemmShape&) = 0;
  [[nodiscard]] virtual std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape&) = 0;
  [[nodiscard]] virtual std::unique_ptr<Pooling> plan_pooling(const PoolingShape&) = 0;

  /// y = max(0, x); x and y may be the same view.
  virtual void relu_forward(ConstView x, View y) = 0;
  /// dx = dy where y > 0, else 0; dx and dy may be the same view.
  virtual void relu_backward(ConstView y, ConstView dy, View dx) = 0;
  /// y = tanh(x).
  virtual void tanh_forward(ConstView x, View y) = 0;
  /// dx = dy · (1 − y²).
  virtual void tanh_backward(ConstView y, ConstView dy, View dx) = 0;
  /// y = x with elements zeroed by (stream, first_sample + sample, logical element) and the rest scaled; the
  /// same call on dy gives dx.
  virtual void dropout(const DropoutShape&, RandomStream, Samples first_sample, ConstView x, View y) = 0;
  /// Images [batch, channels, height, width] from one memory order to another. x and y are distinct.
  virtual void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, ConstView x,
                       View y) = 0;
  /// b[j] = Σ_i x[i, j] (or added to b); x [rows, columns].
  virtual void sum_rows(std::int64_t rows, std::int64_t columns, ConstView x, View b, Write) = 0;

  /// logits [batch, classes], labels [batch, int32]; dlogits = (softmax − onehot) · gradient_scale. An empty
  /// dlogits asks for the sums only. Sums of loss are in double; ties of the largest logit go to the lowest
  /// class.
  virtual LossSums cross_entropy(std::int64_t batch, std::int64_t classes, ConstView logits, ConstView labels,
                                 double gradient_scale, View dlogits) = 0;
  /// output and target [batch, features]; loss sum = Σ (output − target)² / features;
  /// doutput = 2 (output − target) / features · gradient_scale. An empty doutput asks for the sums only.
  virtual LossSums mean_squared_error(std::int64_t batch, std::int64_t features, ConstView output,
                                      ConstView target, double gradient_scale, View doutput) = 0;

  /// One update of w with gradient g and velocity v, all [n].
  virtual void sgd_update(const SgdStep&, View w, ConstView g, View v) = 0;
};

/// Plain loops in `type` (float32 or float64): the oracle.
std::unique_ptr<Backend> make_reference_backend(DataType type);
/// oneDNN and vectorised loops in float32 on `threads` threads.
std::unique_ptr<Backend> make_cpu_backend(int threads);

}  // namespace partita::kernels
