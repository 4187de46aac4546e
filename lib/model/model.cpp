/// Shapes and counts of a layer's parameters, its FLOPs, its line as text, and initial values: each is a
/// function of (seed, layer, element), so that a shard draws its part of the whole. FLOPs count a
/// multiply-add as two.
#include "partita/model/model.hpp"

#include <charconv>
#include <cmath>
#include <map>

#include "partita/kernels/philox.hpp"

namespace partita::model {

std::string_view to_string(LayerKind kind) {
  switch (kind) {
    case LayerKind::linear:
      return "linear";
    case LayerKind::conv:
      return "conv";
    case LayerKind::maxpool:
      return "maxpool";
    case LayerKind::avgpool:
      return "avgpool";
    case LayerKind::relu:
      return "relu";
    case LayerKind::tanh:
      return "tanh";
    case LayerKind::flatten:
      return "flatten";
    case LayerKind::dropout:
      return "dropout";
  }
  return "unknown";
}

std::string_view to_string(Loss loss) { return loss == Loss::mse ? "mse" : "cross-entropy"; }
std::string_view to_string(Initializer init) { return init == Initializer::torch ? "torch" : "kaiming"; }

std::string numbered_name(LayerKind kind, int number) {
  return std::string(to_string(kind)) + std::to_string(number);
}

std::int64_t Layer::fan_in() const {
  if (kind == LayerKind::linear) return input.elements().value();
  return kind == LayerKind::conv ? input[0] * kernel * kernel : 0;
}

Shape Layer::weight_shape() const {
  if (kind == LayerKind::linear) return {out, input.elements().value()};
  return kind == LayerKind::conv ? Shape{out, input[0], kernel, kernel} : Shape{};
}

Elements Layer::weight_elements() const { return has_parameters() ? weight_shape().elements() : Elements(0); }
Elements Layer::bias_elements() const { return Elements(has_parameters() ? out : 0); }

double Layer::forward_flops() const {
  const auto outputs = static_cast<double>(output.elements().value());
  const auto window = static_cast<double>(kernel * kernel);
  switch (kind) {
    case LayerKind::linear:
    case LayerKind::conv:
      return outputs * (2.0 * static_cast<double>(fan_in()) + 1.0);
    case LayerKind::maxpool:
    case LayerKind::avgpool:
      return outputs * window;
    case LayerKind::flatten:
      return 0;
    case LayerKind::relu:
    case LayerKind::tanh:
    case LayerKind::dropout:
      return outputs;
  }
  return 0;
}

std::string Layer::line() const {
  std::string text(to_string(kind));
  const auto number = [](std::int64_t n) { return std::to_string(n); };
  if (kind == LayerKind::linear) text += " " + number(out);
  if (kind == LayerKind::conv) {
    text += " " + number(out) + " kernel=" + number(kernel);
    if (stride != 1) text += " stride=" + number(stride);
    if (padding != 0) text += " padding=" + number(padding);
  }
  if (is_pooling()) {
    text += " " + number(kernel);
    if (stride != kernel) text += " stride=" + number(stride);
  }
  if (kind == LayerKind::dropout) {
    char digits[32];  // the shortest that reads back as the same number
    text.append(" ").append(digits, std::to_chars(digits, digits + sizeof digits, probability).ptr);
  }
  if (frozen) text += " frozen";
  if (is_named) text += " name=" + name;
  if (!placement.empty()) text += " placement=" + placement;
  if (stage) text += " stage=" + number(*stage);
  return text;
}

Elements ModelSpec::parameters() const {
  Elements total{};
  for (const auto& layer : layers)
    total += layer.weight_elements() + layer.bias_elements();
  return total;
}

double ModelSpec::training_flops() const {
  double flops = 0;
  bool below_lowest = true;
  for (const auto& layer : layers) {
    const double forward = layer.forward_flops();
    flops += forward;                          // forward
    if (layer.is_trained()) flops += forward;  // weight gradient
    if (!below_lowest) flops += forward;       // data gradient
    if (layer.is_trained()) below_lowest = false;
  }
  return flops;
}

ModelSpec smooth_twin(ModelSpec model) {
  model.name += "-smooth";
  std::map<LayerKind, int> count;
  for (auto& layer : model.layers) {
    if (layer.kind == LayerKind::relu) layer.kind = LayerKind::tanh;
    if (layer.kind == LayerKind::maxpool) layer.kind = LayerKind::avgpool;
    ++count[layer.kind];
    if (!layer.is_named) layer.name = numbered_name(layer.kind, count[layer.kind]);
  }
  return model;
}

ModelSpec frozen(ModelSpec model) {
  for (auto& layer : model.layers)
    layer.frozen = true;
  return model;
}

double initial_value(const ModelSpec& model, int layer, bool is_bias, Elements index, Initializer initializer,
                     std::uint64_t seed) {
  const auto fan_in = static_cast<double>(model.layers[static_cast<std::size_t>(layer)].fan_in());
  if (initializer == Initializer::kaiming && is_bias) return 0;
  const double bound =
      initializer == Initializer::kaiming ? std::sqrt(6.0 / fan_in) : 1.0 / std::sqrt(fan_in);
  const auto which = static_cast<std::uint32_t>(2 * layer + (is_bias ? 1 : 0));
  const auto stream = kernels::random_stream(seed, kernels::RandomPurpose::parameters, which);
  return bound * (2.0 * kernels::random_uniform(stream, static_cast<std::uint64_t>(index.value())) - 1.0);
}

}  // namespace partita::model
