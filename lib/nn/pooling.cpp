/// Maximum and average pooling over k × k windows.
#include "planned.hpp"

namespace partita::nn {
namespace {

class Pooling final : public Operator {
 public:
  explicit Pooling(std::unique_ptr<kernels::Pooling> plan) : plan_(std::move(plan)) {}
  kernels::Bytes workspace() const override { return plan_->workspace(); }
  void forward(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    plan_->forward(t.x, t.y, t.saved.front(), w);
  }
  void backward_data(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    plan_->backward(t.dy, t.saved.front(), t.dx, w);
  }

 private:
  std::unique_ptr<kernels::Pooling> plan_;
};

}  // namespace

std::unique_ptr<Operator> plan_pooling(const model::Layer& layer, kernels::Epilogue epilogue,
                                       std::int64_t batch, kernels::Backend& backend) {
  const bool maximum = layer.kind == model::LayerKind::maxpool;
  return std::make_unique<Pooling>(
      backend.plan_pooling({.kind = maximum ? kernels::PoolingKind::maximum : kernels::PoolingKind::average,
                            .batch = batch,
                            .channels = layer.input[0],
                            .height = layer.input[1],
                            .width = layer.input[2],
                            .kernel = layer.kernel,
                            .stride = layer.stride,
                            .layout = backend.image_layout(),
                            .epilogue = epilogue}));
}

}  // namespace partita::nn
