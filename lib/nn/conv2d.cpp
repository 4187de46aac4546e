/// Two-dimensional convolution: Y [B, K, H', W'] = X [B, C, H, W] ⋆ W [K, C, k, k] + b [K].
#include "planned.hpp"

namespace partita::nn {
namespace {

class Conv2d final : public Operator {
 public:
  explicit Conv2d(std::unique_ptr<kernels::Convolution> plan) : plan_(std::move(plan)) {}
  kernels::Bytes workspace() const override { return plan_->workspace(); }
  void forward(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    plan_->forward(t.x, t.parameters[0], t.parameters[1], t.y, w);
  }
  void backward_parameters(const Tensors& t, kernels::Write write, kernels::Workspace w) override {
    plan_->backward_parameters(t.x, t.dy, t.dparameters[0], t.dparameters[1], write, w);
  }
  void backward_data(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    plan_->backward_data(t.dy, t.parameters[0], t.dx, w);
  }

 private:
  std::unique_ptr<kernels::Convolution> plan_;
};

}  // namespace

std::unique_ptr<Operator> plan_conv2d(const model::Layer& layer, kernels::Epilogue epilogue,
                                      std::int64_t batch, kernels::Backend& backend) {
  return std::make_unique<Conv2d>(backend.plan_convolution({.batch = batch,
                                                            .channels = layer.input[0],
                                                            .height = layer.input[1],
                                                            .width = layer.input[2],
                                                            .filters = layer.out,
                                                            .kernel = layer.kernel,
                                                            .stride = layer.stride,
                                                            .padding = layer.padding,
                                                            .bias = layer.bias,
                                                            .layout = backend.image_layout(),
                                                            .epilogue = epilogue}));
}

}  // namespace partita::nn
