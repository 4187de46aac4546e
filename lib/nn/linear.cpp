/// Fully connected layer: Y [B, out] = X [B, in]·Wᵀ + b with W [out, in], as three matrix products.
#include <algorithm>

#include "planned.hpp"

namespace partita::nn {
namespace {

class Linear final : public Operator {
 public:
  Linear(const model::Layer& layer, kernels::Epilogue epilogue, std::int64_t batch, kernels::Backend& backend)
      : forward_(backend.plan_gemm({.m = batch,
                                    .n = layer.out,
                                    .k = layer.input.elements().value(),
                                    .transpose_b = true,
                                    .bias = layer.bias,
                                    .epilogue = epilogue})),
        weight_gradient_(backend.plan_gemm(weight_gradient(layer, batch, 0))),
        added_weight_gradient_(backend.plan_gemm(weight_gradient(layer, batch, 1))),
        data_gradient_(backend.plan_gemm({.m = batch, .n = layer.input.elements().value(), .k = layer.out})) {
  }

  kernels::Bytes workspace() const override {
    return std::max({forward_->workspace(), weight_gradient_->workspace(),
                     added_weight_gradient_->workspace(), data_gradient_->workspace()});
  }
  void forward(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    forward_->run({.a = t.x, .b = t.parameters[0], .bias = t.parameters[1], .c = t.y}, w);
  }
  void backward_parameters(const Tensors& t, kernels::Write write, kernels::Workspace w) override {
    auto& product = write == kernels::Write::overwrite ? weight_gradient_ : added_weight_gradient_;
    product->run({.a = t.dy, .b = t.x, .c = t.dparameters[0], .row_sums = t.dparameters[1]}, w);
  }
  void backward_data(const Tensors& t, const StepPosition&, kernels::Workspace w) override {
    data_gradient_->run({.a = t.dy, .b = t.parameters[0], .c = t.dx}, w);
  }

 private:
  /// dW = dYᵀ·X; the bias gradient is the row sums of dYᵀ.
  static kernels::GemmShape weight_gradient(const model::Layer& layer, std::int64_t batch, double beta) {
    return {.m = layer.out,
            .n = layer.input.elements().value(),
            .k = batch,
            .transpose_a = true,
            .beta = beta,
            .row_sums = layer.bias};
  }

  std::unique_ptr<kernels::Gemm> forward_, weight_gradient_, added_weight_gradient_, data_gradient_;
};

}  // namespace

std::unique_ptr<Operator> plan_linear(const model::Layer& layer, kernels::Epilogue epilogue,
                                      std::int64_t batch, kernels::Backend& backend) {
  return std::make_unique<Linear>(layer, epilogue, batch, backend);
}

}  // namespace partita::nn
