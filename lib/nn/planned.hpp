/// The constructors behind `plan_operator`, one a family of layers.
#pragma once

#include "partita/nn/operator.hpp"

namespace partita::nn {

std::unique_ptr<Operator> plan_linear(const model::Layer&, kernels::Epilogue, std::int64_t batch,
                                      kernels::Backend&);
std::unique_ptr<Operator> plan_conv2d(const model::Layer&, kernels::Epilogue, std::int64_t batch,
                                      kernels::Backend&);
std::unique_ptr<Operator> plan_pooling(const model::Layer&, kernels::Epilogue, std::int64_t batch,
                                       kernels::Backend&);
std::unique_ptr<Operator> plan_batch_norm(const model::Layer&, const Placing&, std::int64_t batch,
                                          kernels::Backend&);
std::unique_ptr<Operator> plan_activation(const model::Layer&, kernels::Backend&);
std::unique_ptr<Operator> plan_flatten(const model::Layer&, std::int64_t batch, kernels::Backend&);
std::unique_ptr<Operator> plan_dropout(const model::Layer&, const Placing&, std::int64_t batch,
                                       kernels::Backend&);

}  // namespace partita::nn
