/// What a model is, without running it: layers in order, their shapes, parameters and FLOPs.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "partita/kernels/data_type.hpp"
#include "partita/kernels/philox.hpp"
#include "partita/kernels/shape.hpp"

namespace partita::model {

using kernels::Elements;
using kernels::Extent2;
using kernels::Shape;

enum class LayerKind { linear, conv, maxpool, avgpool, relu, tanh, flatten, dropout, batchnorm };
enum class Loss { cross_entropy, mse };

/// torch: uniform ±1/√fan_in for weights and biases, PyTorch's default of Linear and Conv2d.
/// kaiming: weights uniform ±√(6/fan_in), biases 0 (He et al. 2015, arXiv:1502.01852; PyTorch's
/// kaiming_uniform_ for ReLU); deep ReLU nets do not learn without it.
enum class Initializer { torch, kaiming };

struct LayerDescription;

std::string_view to_string(LayerKind);
std::string_view to_string(Loss);
std::string_view to_string(Initializer);
/// Kind and number within the kind, from 1: conv1, maxpool1, conv2.
std::string numbered_name(LayerKind, int number);

/// A tensor of a layer's parameters. As a matrix it has a row for each output (feature, filter, channel).
struct Parameter {
  std::string_view name;              ///< once in a layer: files have it by this name
  Shape shape;                        ///< PyTorch's logical one
  std::string_view left_out_by = "";  ///< what a layer's line says to do without it; empty: it cannot
  bool is_of_inputs = false;          ///< a row has a part for each channel (feature) of the input
  /// Initial values are uniform between -bound and bound; where that is 0, all are `initial`.
  double torch_bound = 0, kaiming_bound = 0, initial = 0;
  /// A running statistic: training passes move it, no optimizer does. It counts as no parameter of the model.
  bool is_running = false;
  double least = -std::numeric_limits<double>::infinity();  ///< that a value can be
  [[nodiscard]] std::int64_t rows() const { return shape[0]; }
  [[nodiscard]] std::int64_t columns() const;
  /// Whether a file's value can be one of it: a running statistic is finite and no less than `least`; a
  /// learned parameter may be anything.
  [[nodiscard]] bool can_be(double value) const;
};

/// Tensors of parameters that a layer may have.
inline constexpr std::size_t most_parameters = 4;
/// Tensors that it may keep for its backward pass, besides input and output.
inline constexpr std::size_t most_saved = 1;

/// One layer. Shapes are per sample: [features] or [channels, height, width].
struct Layer {
  LayerKind kind = LayerKind::relu;
  std::string name;       ///< once in a model: as its line says, else `numbered_name`
  bool is_named = false;  ///< by its line
  std::int64_t out = 0;   ///< features of linear, filters of conv
  Extent2 kernel = 1, stride = 1, padding = 0;
  bool is_global = false;    ///< its one window is the whole image, whose extents are its kernel
  bool bias = true;          ///< of linear and conv: whether an output has a number of its own added
  bool affine = true;        ///< of batchnorm: whether a channel has a weight and a bias
  double momentum = 0.1;     ///< of batchnorm: the part that a micro-batch has in the running statistics
  double epsilon = 1e-5;     ///< of batchnorm: added to the variance
  double probability = 0;    ///< of dropout
  bool frozen = false;       ///< where it has parameters: they stay as they are
  std::string placement;     ///< on the tensor axis, as asked for by `placement=`; empty: the cheapest
  std::optional<int> stage;  ///< of the pipeline, as asked for by `stage=`
  Shape input, output;

  [[nodiscard]] const LayerDescription& description() const;
  [[nodiscard]] bool has_parameters() const;
  /// Whether an optimizer changes a parameter of this layer, or any.
  [[nodiscard]] bool trains(const Parameter& parameter) const { return !frozen && !parameter.is_running; }
  [[nodiscard]] bool is_trained() const;
  /// In the order in which they lie in memory and in files, running statistics last; empty for layers that
  /// have none.
  [[nodiscard]] std::vector<Parameter> parameters() const;
  /// Of its parameters, without running statistics.
  [[nodiscard]] Elements parameter_elements() const;
  /// Sums over samples (float64) that each pass of a training step needs before it can finish; 0: none.
  [[nodiscard]] Elements statistics() const;
  [[nodiscard]] bool takes_statistics() const { return statistics() > Elements(0); }
  /// Floating-point operations of the forward pass of one sample; a multiply-add counts as two.
  [[nodiscard]] double forward_flops() const;
  /// The line that describes this layer in a model file.
  [[nodiscard]] std::string line() const;
};

struct ModelSpec {
  std::string name;
  Shape input;
  std::vector<Layer> layers;
  Loss loss = Loss::cross_entropy;

  [[nodiscard]] Elements parameters() const;
  /// Whether any layer does: then what is trained depends on which samples are a micro-batch.
  [[nodiscard]] bool takes_statistics() const;
};

/// The model with Tanh for ReLU and average for maximum pooling: no ties, no kinks, so that fp32 runs of
/// different decompositions can be compared closely.
ModelSpec smooth_twin(ModelSpec);

/// The model of which nothing is trained: for inference.
ModelSpec frozen(ModelSpec);

/// Initial values of a tensor of parameters, by its place in `Layer::parameters()`: a function of (seed,
/// layer, tensor, logical index) alone.
class InitialValues {
 public:
  InitialValues(const ModelSpec&, int layer, int tensor, Initializer, std::uint64_t seed);
  double operator()(Elements index) const;

 private:
  double bound_, initial_;
  kernels::RandomStream stream_;
};

}  // namespace partita::model
