/// Layers as local arithmetic: a model layer bound to a back-end and a number of samples. Operators never
/// communicate and never allocate while they run.
#pragma once

#include <array>
#include <memory>

#include "partita/kernels/backend.hpp"
#include "partita/model/model.hpp"

namespace partita::nn {

using kernels::ConstView;
using kernels::View;

/// What an operator must know of the step besides its tensors, so that its results are no function of the
/// grid.
struct StepPosition {
  const kernels::StepValues* values = nullptr;  ///< in the back-end's memory
  kernels::Samples first_sample{};              ///< of this share within the global batch
  kernels::Samples samples_of_all{};            ///< of the micro-batch on all ranks (statistics)
};

/// The tensors of one operator; those that it does not need are empty. x [batch, input], y [batch, output],
/// gradients alike; parameters and their gradients in the order of `Layer::parameters()` (an operator writes
/// running statistics of them), saved ones in that of the description. Sums as `Layer::statistics` counts
/// them: `statistics` are empty where running ones take their place.
struct Tensors {
  ConstView x;
  std::array<View, model::most_parameters> parameters;
  View y;
  std::array<View, model::most_saved> saved;
  View dy, dx;
  std::array<View, model::most_parameters> dparameters;
  View statistics, gradient_sums;
};

class Operator {
 public:
  virtual ~Operator() = default;
  /// Scratch memory that any of the calls below may use.
  [[nodiscard]] virtual kernels::Bytes workspace() const { return kernels::Bytes(0); }
  /// Of a layer with statistics: this rank's part of them, from x, and of the sums of gradients, from x, dy
  /// and the statistics of all ranks. The caller adds those of all before it goes on.
  virtual void forward_statistics(const Tensors&, kernels::Workspace) {}
  virtual void backward_statistics(const Tensors&, const StepPosition&, kernels::Workspace) {}
  /// y from x and the parameters.
  virtual void forward(const Tensors&, const StepPosition&, kernels::Workspace) = 0;
  /// Takes the statistics of all ranks into the running ones.
  virtual void update_running(const Tensors&, const StepPosition&) {}
  /// dparameters from x and dy (or this rank's sums of gradients), overwriting or accumulating: sums over the
  /// samples of this share.
  virtual void backward_parameters(const Tensors&, kernels::Write, kernels::Workspace) {}
  /// dx from dy.
  virtual void backward_data(const Tensors&, const StepPosition&, kernels::Workspace) = 0;
};

/// What an operator must know of the model around it.
struct Placing {
  int index = 0;  ///< of the layer; numbers the dropout streams
  /// The operator's result is max(0, ·); the caller masks dy by y > 0 (Backend::relu_backward) before the
  /// backward calls.
  bool fused_relu = false;
  /// Where the operator's part of a sample begins in the whole (dropout), and the shape of that. A whole of
  /// rank 0 says that there are no other parts.
  std::int64_t first_channel = 0, first_row = 0;
  kernels::Shape whole;
};

/// Binds a layer, or a rank's share of one, to `batch` samples.
std::unique_ptr<Operator> plan_operator(const model::Layer&, const Placing&, std::int64_t batch,
                                        kernels::Backend&);

}  // namespace partita::nn
