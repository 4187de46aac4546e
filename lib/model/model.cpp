/// What is asked of a layer, answered by the description of its kind: parameters, FLOPs, its line as text;
/// and initial values, each a function of (seed, layer, tensor, element), so that a shard draws its part of
/// the whole.
#include "partita/model/model.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "partita/base/error.hpp"
#include "partita/base/number.hpp"
#include "partita/model/layer_kind.hpp"

namespace partita::model {

std::string_view to_string(LayerKind kind) { return description_of(kind).name; }
std::string_view to_string(Loss loss) { return loss == Loss::mse ? "mse" : "cross-entropy"; }
std::string_view to_string(Initializer init) { return init == Initializer::torch ? "torch" : "kaiming"; }

std::string numbered_name(LayerKind kind, int number) {
  return std::string(to_string(kind)) + std::to_string(number);
}

std::int64_t Parameter::columns() const {
  std::int64_t columns = 1;
  for (const auto extent : shape.extents().subspan(1))
    columns *= extent;
  return columns;
}

bool Parameter::can_be(double value) const { return !is_running || (std::isfinite(value) && value >= least); }

const LayerDescription& Layer::description() const { return description_of(kind); }

bool Layer::has_parameters() const { return description().has_parameters(); }

std::vector<Parameter> Layer::parameters() const {
  return has_parameters() ? description().parameters(*this) : std::vector<Parameter>{};
}

bool Layer::is_trained() const {
  if (frozen) return false;
  const auto all = parameters();
  return std::any_of(all.begin(), all.end(), [&](const Parameter& p) { return trains(p); });
}

Elements Layer::parameter_elements() const {
  Elements total{};
  for (const auto& parameter : parameters())
    if (!parameter.is_running) total += parameter.shape.elements();
  return total;
}

Elements Layer::statistics() const {
  const auto count = description().statistics;
  return count == nullptr || frozen ? Elements(0) : count(*this);
}

double Layer::forward_flops() const { return description().forward_flops(*this); }

namespace {

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(const Extent2& value) { return to_string(value); }
template <class Number>
std::string text_of(Number value) {
  return base::shortest(value);
}

std::string text_of(const Layer& layer, const LayerValue& value) {
  if (layer.is_global && value.word) return std::string(value.word->name);
  return std::visit([&](auto field) { return text_of(layer.*field); }, value.field);
}

bool is_standard(const Layer& layer, const LayerValue& value) {
  if (value.set_standard == nullptr) return false;
  Layer standard = layer;
  value.set_standard(standard);
  return std::visit([&](auto field) { return layer.*field == standard.*field; }, value.field);
}

}  // namespace

std::string Layer::line() const {
  std::string text(to_string(kind));
  if (const auto& argument = description().argument) text += " " + text_of(*this, *argument);
  for (const auto& option : description().options)
    if (!is_standard(*this, option)) text += " " + std::string(option.name) + "=" + text_of(*this, option);
  if (frozen) text += " frozen";
  if (is_named) text += " name=" + name;
  if (!placement.empty()) text += " placement=" + placement;
  if (stage) text += " stage=" + std::to_string(*stage);
  return text;
}

Elements ModelSpec::parameters() const {
  Elements total{};
  for (const auto& layer : layers)
    total += layer.parameter_elements();
  return total;
}

bool ModelSpec::takes_statistics() const {
  return std::any_of(layers.begin(), layers.end(), [](const Layer& l) { return l.takes_statistics(); });
}

ModelSpec smooth_twin(ModelSpec model) {
  model.name += "-smooth";
  std::map<LayerKind, int> count;
  for (auto& layer : model.layers) {
    layer.kind = layer.description().smooth.value_or(layer.kind);
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

namespace {

/// Random streams that are set aside for each layer: tensors that are drawn come first.
constexpr int streams_of_a_layer = 2;

}  // namespace

InitialValues::InitialValues(const ModelSpec& model, int layer, int tensor, Initializer initializer,
                             std::uint64_t seed)
    : stream_(kernels::random_stream(seed, kernels::RandomPurpose::parameters,
                                     static_cast<std::uint32_t>(streams_of_a_layer * layer + tensor))) {
  const auto parameters = model.layers[static_cast<std::size_t>(layer)].parameters();
  const auto& parameter = parameters[static_cast<std::size_t>(tensor)];
  initial_ = parameter.initial;
  bound_ = initializer == Initializer::kaiming ? parameter.kaiming_bound : parameter.torch_bound;
  base::expect(bound_ == 0 || tensor < streams_of_a_layer, "a tensor that is drawn has a stream", tensor);
}

double InitialValues::operator()(Elements index) const {
  if (bound_ == 0) return initial_;
  return bound_ * (2.0 * kernels::random_uniform(stream_, static_cast<std::uint64_t>(index.value())) - 1.0);
}

}  // namespace partita::model
