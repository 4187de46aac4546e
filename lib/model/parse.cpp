/// Reads input, loss and layers, infers each output shape from the one before, and stops inferring at the
/// first line that is wrong, since what follows would only repeat it.
#include "partita/model/parse.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>
#include <sstream>
#include <utility>

#include "layer_line.hpp"
#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"
#include "partita/model/passes.hpp"

namespace partita::model {
namespace {

/// Tensors and weights beyond this many elements are refused, so that no count can overflow.
constexpr double most_elements = 0x1p40;

double product(std::span<const std::int64_t> extents) {
  double elements = 1;
  for (const auto extent : extents)
    elements *= static_cast<double>(extent);
  return elements;
}

/// Why a layer cannot have its input, or nothing.
std::string misfit(const Layer& layer) {
  const auto& input = layer.input;
  const auto& kind = layer.description();
  if (kind.takes == Takes::vectors && input.rank() != 1)
    return "it takes a flat input of shape " + std::to_string(input.elements().value()) +
           "; put a 'flatten' before it";
  if (kind.takes == Takes::images && input.rank() != 3) return "it takes an image of shape CxHxW";
  if (kind.has_windows) {
    const auto& kernel = layer.kernel;
    Extent2 largest{input[1] + 2 * layer.padding.h, input[2] + 2 * layer.padding.w};
    if (kernel.h == kernel.w) largest = std::min(largest.h, largest.w);
    if (largest.h < kernel.h || largest.w < kernel.w)
      return "its " + std::to_string(kernel.h) + "x" + std::to_string(kernel.w) +
             " window needs an image of at least that size; the largest kernel here is " + to_string(largest);
  }
  if (layer.placement == "height" && input.rank() != 3)
    return "placement=height shares out the rows of images; nearest is placement=column";
  return "";
}

/// Output shape from the input's; refuses what does not fit, naming the layer and both shapes.
void infer_shape(Layer& layer, const Shape& input, LayerLine& reader) {
  layer.input = layer.output = input;
  const auto fit_to_input = layer.description().fit_to_input;
  if (fit_to_input != nullptr && input.rank() == 3) fit_to_input(layer);
  if (const auto why = misfit(layer); !why.empty())
    return reader.refuse(layer.name + " cannot follow an output of shape " + to_string(input) + ": " + why);
  if (layer.description().output != nullptr) layer.output = layer.description().output(layer);
}

/// Of the largest tensor of a layer.
double largest_tensor(const Layer& layer) {
  double largest = product(layer.output.extents());
  for (const auto& parameter : layer.parameters())
    largest = std::max(largest, product(parameter.shape.extents()));
  return largest;
}

Shape parse_input(const std::string& text, std::vector<base::Violation>& violations) {
  std::vector<std::int64_t> extents;
  std::istringstream parts(text);
  bool good = !text.empty() && text.back() != 'x';
  for (std::string part; std::getline(parts, part, 'x');) {
    const auto extent = base::number_of<std::int64_t>(part);
    good = good && extent && *extent >= 1 && *extent <= largest_extent;
    extents.push_back(extent.value_or(1));
  }
  good = good && product(extents) <= most_elements;
  if (good && extents.size() == 1) return {extents[0]};
  if (good && extents.size() == 3) return {extents[0], extents[1], extents[2]};
  violations.push_back(
      {"model.input", text, "must be FEATURES or CHANNELSxHEIGHTxWIDTH, such as 784 or 1x28x28"});
  return {1};
}

/// Files name groups by layers.
void check_names(const std::vector<Layer>& layers, std::vector<base::Violation>& violations) {
  std::map<std::string, std::size_t> first;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (const auto [other, is_new] = first.emplace(layers[i].name, i); !is_new)
      violations.push_back({"model.layer " + std::to_string(i + 1), layers[i].line(),
                            "is called " + layers[i].name + " like layer " +
                                std::to_string(other->second + 1) + ": a name stands once in a model"});
}

/// "linear or conv": kinds with parameters.
std::string trainable_kinds() {
  std::string names;
  for (const auto& kind : layer_kinds())
    if (kind.has_parameters()) names += (names.empty() ? "" : " or ") + std::string(kind.name);
  return names;
}

}  // namespace

ModelSpec parse_model(const ModelText& text, std::vector<base::Violation>& violations) {
  ModelSpec model;
  model.name = text.name;
  const auto violations_before = violations.size();
  model.input = parse_input(text.input, violations);
  bool shapes_known = violations.size() == violations_before;
  if (text.loss == "mse") {
    model.loss = Loss::mse;
  } else if (text.loss != "cross-entropy") {
    violations.push_back({"model.loss", text.loss,
                          "must be cross-entropy or mse" +
                              base::did_you_mean(text.loss, std::array{to_string(Loss::cross_entropy),
                                                                       to_string(Loss::mse)})});
  }
  if (text.layers.empty()) violations.push_back({"model.layer", "", "a model needs at least one layer"});
  std::map<LayerKind, int> count;
  Shape current = model.input;
  for (std::size_t i = 0; i < text.layers.size(); ++i) {
    LayerLine reader(i, text.layers[i], violations);
    Layer layer = reader.read();
    ++count[layer.kind];
    if (!layer.is_named) layer.name = numbered_name(layer.kind, count[layer.kind]);
    if (shapes_known && reader.good()) infer_shape(layer, current, reader);
    if (shapes_known && reader.good() && largest_tensor(layer) > most_elements)
      reader.refuse(layer.name + " is too large: its output or weight has more than 2^40 elements");
    shapes_known = shapes_known && reader.good();  // after a bad line further shapes would only repeat it
    current = layer.output;
    model.layers.push_back(std::move(layer));
  }
  if (shapes_known && !model.layers.empty() && current.rank() != 1)
    violations.push_back({"model.layer", model.layers.back().line(),
                          "the last layer must give a flat output, not " + to_string(current)});
  check_names(model.layers, violations);
  if (shapes_known && !model.layers.empty() && lowest_trained_layer(model) == std::ssize(model.layers))
    violations.push_back({"model.layer", "",
                          "a model needs at least one layer with parameters to train: a " +
                              trainable_kinds() + " that is not frozen and not without them"});
  return model;
}

}  // namespace partita::model
