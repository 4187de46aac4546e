/// Batch normalisation of each channel: with the statistics of the micro-batch where there are some, which it
/// also takes into the running ones, else with these.
#include <utility>

#include "planned.hpp"

namespace partita::nn {
namespace {

class BatchNorm final : public Operator {
 public:
  BatchNorm(const model::Layer& layer, std::int64_t pixels, std::unique_ptr<kernels::BatchNorm> plan)
      : plan_(std::move(plan)), affine_(layer.affine), pixels_(pixels) {}

  kernels::Bytes workspace() const override { return plan_->workspace(); }

  void forward_statistics(const Tensors& t, kernels::Workspace w) override {
    plan_->statistics(t.x, t.statistics, w);
  }
  void forward(const Tensors& t, const StepPosition& at, kernels::Workspace w) override {
    plan_->forward(t.x, moments(t, at), weight(t), bias(t), t.y, w);
  }
  void update_running(const Tensors& t, const StepPosition& at) override {
    plan_->update_running(t.statistics, count(at), running_mean(t), running_variance(t));
  }
  void backward_statistics(const Tensors& t, const StepPosition& at, kernels::Workspace w) override {
    plan_->gradient_sums(t.x, t.dy, moments(t, at), t.gradient_sums, w);
  }
  void backward_parameters(const Tensors& t, kernels::Write write, kernels::Workspace) override {
    plan_->backward_parameters(t.gradient_sums, t.dparameters[0], t.dparameters[1], write);
  }
  void backward_data(const Tensors& t, const StepPosition& at, kernels::Workspace w) override {
    plan_->backward_data(t.x, t.dy, moments(t, at), t.gradient_sums, weight(t), t.dx, w);
  }

 private:
  [[nodiscard]] View weight(const Tensors& t) const { return affine_ ? t.parameters[0] : View(); }
  [[nodiscard]] View bias(const Tensors& t) const { return affine_ ? t.parameters[1] : View(); }
  [[nodiscard]] View running_mean(const Tensors& t) const { return t.parameters[affine_ ? 2 : 0]; }
  [[nodiscard]] View running_variance(const Tensors& t) const { return t.parameters[affine_ ? 3 : 1]; }
  /// Values of a channel in the micro-batch, on all ranks.
  [[nodiscard]] std::int64_t count(const StepPosition& at) const {
    return at.samples_of_all.value() * pixels_;
  }
  [[nodiscard]] kernels::BatchMoments moments(const Tensors& t, const StepPosition& at) const {
    return {.sums = t.statistics,
            .count = t.statistics.empty() ? 0 : count(at),
            .running_mean = running_mean(t),
            .running_variance = running_variance(t)};
  }

  std::unique_ptr<kernels::BatchNorm> plan_;
  bool affine_;
  std::int64_t pixels_;  ///< of a whole channel
};

std::int64_t pixels_of(const kernels::Shape& shape) { return shape.rank() == 3 ? shape[1] * shape[2] : 1; }

}  // namespace

std::unique_ptr<Operator> plan_batch_norm(const model::Layer& layer, const Placing& placing,
                                          std::int64_t batch, kernels::Backend& backend) {
  const bool image = layer.input.rank() == 3;
  auto plan = backend.plan_batch_norm(
      {.batch = batch,
       .channels = layer.input[0],
       .height = image ? layer.input[1] : 1,
       .width = image ? layer.input[2] : 1,
       .epsilon = layer.epsilon,
       .momentum = layer.momentum,
       .layout = backend.image_layout(),
       .epilogue = placing.fused_relu ? kernels::Epilogue::relu : kernels::Epilogue::none});
  const auto& whole = placing.whole.rank() == 0 ? layer.input : placing.whole;
  return std::make_unique<BatchNorm>(layer, pixels_of(whole), std::move(plan));
}

}  // namespace partita::nn
