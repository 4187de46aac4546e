/// Which operator a kind of layer has.
#include "partita/nn/operator.hpp"

#include "partita/base/error.hpp"
#include "planned.hpp"

namespace partita::nn {

std::unique_ptr<Operator> plan_operator(const model::Layer& layer, const Placing& placing, std::int64_t batch,
                                        kernels::Backend& backend) {
  const auto epilogue = placing.fused_relu ? kernels::Epilogue::relu : kernels::Epilogue::none;
  switch (layer.kind) {
    case model::LayerKind::linear:
      return plan_linear(layer, epilogue, batch, backend);
    case model::LayerKind::conv:
      return plan_conv2d(layer, epilogue, batch, backend);
    case model::LayerKind::maxpool:
    case model::LayerKind::avgpool:
      return plan_pooling(layer, epilogue, batch, backend);
    case model::LayerKind::relu:
    case model::LayerKind::tanh:
      return plan_activation(layer, backend);
    case model::LayerKind::flatten:
      return plan_flatten(layer, batch, backend);
    case model::LayerKind::dropout:
      return plan_dropout(layer, placing, batch, backend);
    case model::LayerKind::batchnorm:
      return plan_batch_norm(layer, placing, batch, backend);
  }
  throw base::ContractError("a layer kind without an operator");
}

}  // namespace partita::nn
