/// Fully connected layer: Y [B, out] = X [B, in]·Wᵀ + b with W [out, in], as three matrix products.
#include <algorithm>

#include "planned.hpp"

namespace partita::nn {
namespace {

class Linear final : public Operator {
 public:
  Linear(const model::Layer& layer, kernels::Epilogue epilogue, std::int64_t batch, kernels::Backend& backend)
      : backend_(backend),
        batch_(batch),
        out_(layer.out),
        forward_(backend.plan_gemm({.m = batch,
                                    .n = layer.out,
                                    .k = layer.input.elements().value(),
                                    .transpose_b = true,
                                    .bias = true,
                                    .epilogue = epilogue})),
        weight_gradient_(backend.plan_gemm(weight_gradient(layer, batch, kernels::Write::overwrite))),
        added_weight_gradient_(backend.plan_gemm(weight_gradient(layer, batch, kernels::Write::accumulate))),
        data_gradient_(backend.plan_gemm({.m = batch, .n = layer.input.elements().value(), .k = layer.out})) {
  }

  kernels::Bytes workspace() const override {
    return std::max({forward_->workspace(), weight_gradient_->workspace(),
                     added_weight_gradient_->workspace(), data_gradient_->workspace()});
  }
  void forward(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    forward_->run(t.x, t.weight, t.bias, t.y, w);
  }
  void backward_parameters(const Tensors& t, kernels::Write write, kernels::Workspace w) override {
    auto& product = write == kernels::Write::overwrite ? weight_gradient_ : added_weight_gradient_;
    product->run(t.dy, t.x, {}, t.dweight, w);
    backend_.sum_rows(batch_, out_, t.dy, t.dbias, write);
  }
  void backward_data(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    data_gradient_->run(t.dy, t.weight, {}, t.dx, w);
  }

 private:
  static kernels::GemmShape weight_gradient(const model::Layer& layer, std::int64_t batch,
                                            kernels::Write write) {
    return {
        .m = layer.out, .n = layer.input.elements().value(), .k = batch, .transpose_a = true, .write = write};
  }

  kernels::Backend& backend_;
  std::int64_t batch_, out_;
  std::unique_ptr<kernels::Gemm> forward_, weight_gradient_, added_weight_gradient_, data_gradient_;
};

}  // namespace

std::unique_ptr<Operator> plan_linear(const model::Layer& layer, kernels::Epilogue epilogue,
                                      std::int64_t batch, kernels::Backend& backend) {
  return std::make_unique<Linear>(layer, epilogue, batch, backend);
}

}  // namespace partita::nn
