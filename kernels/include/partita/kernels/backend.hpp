/// The contract of the math: what every back-end computes, in formulae with shapes.
///
/// Kernels have two phases. `plan_*(shape)` picks and prepares an implementation and may allocate; the plan's
/// run functions take views and a workspace of at least `workspace()` bytes and may not allocate. Plans are
/// cached by the caller. All extents may be 0 (an empty batch, a shard without channels, filters or rows): no
/// output, nothing is computed; an empty sum is 0, with its bias and epilogue where it has them. Views hold
/// `backend.type()` elements unless said otherwise. Image tensors [N, C, H, W] lie in memory as `Layout`
/// says; matrices and parameters are row-major in PyTorch's logical order: Linear weight [out, in], Conv2d
/// weight [out, in, kh, kw].
///
/// Work may be *issued*: the call returns before the work is done (`device.hpp`). What changes from step to
/// step is therefore read from the back-end's memory when the work is done (`StepValues`), never from an
/// argument, so that issued work can be recorded once and repeated.
///
/// Symbols: B batch (samples of this rank), C channels, H W image, K filters, M N K matrix extents.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "partita/kernels/codec.hpp"
#include "partita/kernels/device.hpp"
#include "partita/kernels/operations.hpp"
#include "partita/kernels/optimizer.hpp"
#include "partita/kernels/philox.hpp"
#include "partita/kernels/shape.hpp"
#include "partita/kernels/strided_block.hpp"
#include "partita/kernels/view.hpp"

namespace partita::kernels {

using Workspace = std::span<std::byte>;

/// A prepared kernel. Running it with a smaller workspace than this is a broken contract.
class Plan {
 public:
  virtual ~Plan() = default;
  [[nodiscard]] virtual Bytes workspace() const { return Bytes(0); }
};

/// What a product works on; `bias` [n], `mask` and `row_sums` [m] only where the shape asks for them.
struct GemmViews {
  ConstView a, b, bias, mask;
  View c, row_sums;
};

class Gemm : public Plan {
 public:
  virtual void run(const GemmViews&, Workspace) = 0;
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

class Pooling : public Plan {
 public:
  /// Y = epilogue(pool(X)). `winners` [elements of Y, uint8] receives, for maximum pooling, the position
  /// inside the window (row · kernel.w + column) that won: its kernel has at most 256, an average has any.
  virtual void forward(ConstView x, View y, View winners, Workspace) = 0;
  /// dX from dY, overwriting; dY is the gradient after any epilogue mask was applied.
  virtual void backward(ConstView dy, ConstView winners, View dx, Workspace) = 0;
};

/// Where a pass takes µ and σ² from: the `sums` of `count` values a channel, or, where `count` is 0, running
/// ones [channels].
struct BatchMoments {
  ConstView sums;
  std::int64_t count = 0;
  ConstView running_mean, running_variance;
};

/// Sums are [2, channels] float64, over this rank's samples; the caller adds those of all ranks before the
/// second half of a pass reads them. They are of doubles, since σ² is a small difference of large ones where
/// a channel lies far from 0: its relative error is about 1e-16·µ²/σ², whatever the type of x. `weight` and
/// `bias` [channels] may be empty: 1 and 0.
class BatchNorm : public Plan {
 public:
  /// sums = (Σ x, Σ x²).
  virtual void statistics(ConstView x, View sums, Workspace) = 0;
  /// running_mean moves to µ and running_variance to σ²·N/(N − 1) (σ² where N = 1) by `momentum` of the way.
  /// A channel of which one of them would not be finite stays as it is; so do all where N = 0.
  virtual void update_running(ConstView sums, std::int64_t count, View running_mean,
                              View running_variance) = 0;
  virtual void forward(ConstView x, const BatchMoments&, ConstView weight, ConstView bias, View y,
                       Workspace) = 0;
  /// sums = (Σ dy, Σ dy·x̂); dy is the gradient after any epilogue mask was applied, here and below.
  virtual void gradient_sums(ConstView x, ConstView dy, const BatchMoments&, View sums, Workspace) = 0;
  /// dweight = Σ dy·x̂ and dbias = Σ dy, overwriting or accumulating.
  virtual void backward_parameters(ConstView gradient_sums, View dweight, View dbias, Write) = 0;
  /// dX, overwriting: weight/√(σ² + ε)·(dy − Σ dy/N − x̂·Σ(dy·x̂)/N) with the sums of all ranks; with running
  /// moments, which no sample moves, weight/√(σ² + ε)·dy, and `gradient_sums` is not read.
  virtual void backward_data(ConstView x, ConstView dy, const BatchMoments&, ConstView gradient_sums,
                             ConstView weight, View dx, Workspace) = 0;
};

/// What softmax cross-entropy and mean squared error report of a batch, as sums (never means). In a
/// back-end's memory it is a view of two float64: (loss, correct).
struct LossSums {
  double loss = 0;           ///< Σ over this rank's samples
  std::int64_t correct = 0;  ///< samples whose largest output is the label (classification only)
};

/// What an update works on. Vectors are [n].
struct Update {
  const StepValues* step = nullptr;
  ConstView sums;  ///< as the loss left them
  /// As `Backend::clip` left it; empty: the gradient is not clipped. A factor of 0: the step is lost, nothing
  /// is updated.
  ConstView scale = {};
  ConstView squares =
      {};  ///< of a tensor, for a rule that takes norms: Σ w², and Σ g² of lars or Σ u² of lamb
  View w;
  ConstView g;                   ///< of lamb u
  std::span<const View> states;  ///< `states_of` the rule
  std::int64_t* non_finite_step = nullptr;
};

/// One way of computing everything: plain loops, the CPU's vector units, a GPU.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual DataType type() const = 0;
  /// Name and version of the library that it computes with; "none" where there is none.
  [[nodiscard]] virtual std::string math_library() const { return "none"; }
  /// Where its views lie and how its work is waited for.
  [[nodiscard]] virtual Device& device() = 0;
  /// The memory order this back-end wants image tensors in.
  [[nodiscard]] virtual Layout image_layout() const = 0;
  /// Null where it has none.
  [[nodiscard]] virtual Codecs* codecs() { return nullptr; }

  [[nodiscard]] virtual std::unique_ptr<Gemm> plan_gemm(const GemmShape&) = 0;
  [[nodiscard]] virtual std::unique_ptr<Convolution> plan_convolution(const ConvolutionShape&) = 0;
  [[nodiscard]] virtual std::unique_ptr<Pooling> plan_pooling(const PoolingShape&) = 0;
  [[nodiscard]] virtual std::unique_ptr<BatchNorm> plan_batch_norm(const BatchNormShape&) = 0;

  /// y = max(0, x); x and y may be the same view.
  virtual void relu_forward(ConstView x, View y) = 0;
  /// dx = dy where y > 0, else 0; dx and dy may be the same view.
  virtual void relu_backward(ConstView y, ConstView dy, View dx) = 0;
  /// y = tanh(x).
  virtual void tanh_forward(ConstView x, View y) = 0;
  /// dx = dy · (1 − y²).
  virtual void tanh_backward(ConstView y, ConstView dy, View dx) = 0;
  /// y = x with elements zeroed by (random_stream(step->dropout_seed, dropout, layer), first_sample + sample,
  /// logical element) and the rest scaled; the same call on dy gives dx.
  virtual void dropout(const DropoutShape&, const StepValues* step, std::uint32_t layer, Samples first_sample,
                       ConstView x, View y) = 0;
  /// out[i, j] = table[indices[i], j]·scale[c] + shift[c], j < columns; indices int64. scale and shift
  /// [channels] float64 in the memory of the others, or empty: 1 and 0; channel c is the c-th of as many
  /// equal parts of the columns. A table of uint8 or float32 goes to elements of `type()`; one of int32 is
  /// copied as it is.
  virtual void gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale,
                      ConstView shift, View out) = 0;
  /// Images [batch, channels, height, width] from one memory order to another. x and y are distinct.
  virtual void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, ConstView x,
                       View y) = 0;
  /// Copies the block of `extents` elements at `from` in x to the one at `to` in y, or adds it there. An
  /// empty block touches nothing; one that leaves its view throws before anything is written. The elements at
  /// `to` are distinct from each other and from those at `from`. Extents may come in any order: neighbours in
  /// both tensors are moved together.
  virtual void copy_block(const BlockExtents& extents, const StridedBlock& from, ConstView x,
                          const StridedBlock& to, View y, Write) = 0;
  /// y = 0, in any element type.
  virtual void zero(View y) = 0;
  /// b[j] = Σ_i x[i, j] (or added to b); x [rows, columns].
  virtual void sum_rows(std::int64_t rows, std::int64_t columns, ConstView x, View b, Write) = 0;

  /// logits [batch, classes], labels [batch, int32]; dlogits = (softmax − onehot) · gradient_scale. An empty
  /// dlogits asks for the sums only. `sums` (see `LossSums`) is overwritten, loss summed in double; ties of
  /// the largest logit go to the lowest class. A label that is no class is a broken contract; where it is
  /// seen when nobody can be told any more, on a device, the loss is NaN.
  virtual void cross_entropy(std::int64_t batch, std::int64_t classes, ConstView logits, ConstView labels,
                             double gradient_scale, View dlogits, View sums) = 0;
  /// The first half of `cross_entropy` over classes that are cut into shards: logits [batch, classes] are the
  /// columns [first_class, first_class + classes) of the whole, labels [batch, int32] are class numbers of
  /// the whole. statistics [batch, 3] = (max, Σ exp(logit − max), the label's logit if this shard holds it,
  /// else 0) over the shard's columns; a shard without classes gives (−∞, 0, 0). The sum is negated where
  /// this shard holds the label and a lower class of it has the same logit: of equal logits the lowest class
  /// is the largest. The caller gathers the statistics of all shards and hands them to
  /// `cross_entropy_finish`.
  virtual void cross_entropy_statistics(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                        ConstView logits, ConstView labels, View statistics) = 0;
  /// The second half: statistics [shards, batch, 3] of all shards, shard s holding the classes
  /// [class_offsets[s], class_offsets[s + 1]); logits, labels and the shard's place as above. dlogits [batch,
  /// classes] = (softmax − onehot) · gradient_scale in the shard's columns; an empty dlogits asks for the
  /// sums only. The sums are those of the whole, the same to the bit on every shard: loss = Σ (log Σexp + max
  /// − label's logit) in double, `correct` just as `cross_entropy` of the whole counts it.
  virtual void cross_entropy_finish(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                    std::span<const std::int64_t> class_offsets, ConstView statistics,
                                    ConstView logits, ConstView labels, double gradient_scale, View dlogits,
                                    View sums) = 0;
  /// output and target [batch, features]; loss sum = Σ (output − target)² / features;
  /// doutput = 2 (output − target) / features · gradient_scale. An empty doutput asks for the sums only.
  virtual void mean_squared_error(std::int64_t batch, std::int64_t features, ConstView output,
                                  ConstView target, double gradient_scale, View doutput, View sums) = 0;
  /// total = Σ parts; parts [n, 2] and total [2] float64, as `LossSums`. One after the other, or `in_tree`:
  /// the losses of n (a power of two) grains in the binary tree in which their gradients are added.
  virtual void add_sums(ConstView parts, bool in_tree, View total) = 0;

  /// sum = Σ x² (or added to it), in float64. The order of the additions depends on the number of elements
  /// only.
  virtual void squares(ConstView x, View sum, Write) = 0;
  /// total [n] = Σ of the rows [.., n], one after the other; float64.
  virtual void add_rows(ConstView rows, View total) = 0;
  /// scale [2] float64 = (norm, factor): the root of Σ squares, and `clip_factor` of it. squares [ranks,
  /// parts] float64 are added part by part, of each in the order of the ranks.
  virtual void clip(std::int64_t parts, ConstView squares, double limit, View scale) = 0;

  /// One update of what parameters, gradient and states `on` are; nothing if an earlier step was not finite
  /// (*non_finite_step >= 0). If the loss, the factor or one of `looked_at` evenly spaced elements of g is
  /// not finite, nothing is updated and *non_finite_step = step->step; this is also written if one of w is
  /// not finite after the update.
  virtual void update(const OptimizerSpec&, const Update& on) = 0;
  /// What comes before the update by lamb: the moments by the gradient, and u, by which w is to change; it
  /// may take the place of the gradient. As `update`, but that it looks at elements of u, once they are
  /// written, instead of g and w.
  virtual void direct(const OptimizerSpec&, const Update& on, View u) = 0;
};

/// Plain loops in `type` (float32 or float64): the oracle.
std::unique_ptr<Backend> make_reference_backend(DataType type);
/// oneDNN and vectorised loops in float32 on `threads` threads.
std::unique_ptr<Backend> make_cpu_backend(int threads);

}  // namespace partita::kernels
