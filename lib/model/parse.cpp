#include "partita/model/parse.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>
#include <sstream>
#include <utility>

namespace partita::model {
namespace {

constexpr std::array<std::string_view, 8> kind_names{"linear", "conv", "maxpool", "avgpool",
                                                     "relu",   "tanh", "flatten", "dropout"};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j)
      diagonal =
          std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row.back();
}

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// One line being read: collects violations under its own key.
class LineReader {
 public:
  LineReader(std::size_t index, const std::string& line, std::vector<base::Violation>& violations)
      : key_("model.layer " + std::to_string(index + 1)), line_(line), violations_(violations) {
    std::istringstream words(line);
    for (std::string word; words >> word;)
      words_.push_back(word);
  }

  void refuse(const std::string& message) { violations_.push_back({key_, line_, message}), good_ = false; }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }

  /// The one unnamed argument, or nothing when `expected` says that the layer takes none.
  std::string argument(bool expected, std::string_view meaning) {
    std::vector<std::string> unnamed;
    for (std::size_t i = 1; i < words_.size(); ++i)
      if (words_[i] != "frozen" && words_[i].find('=') == std::string::npos) unnamed.push_back(words_[i]);
    if (unnamed.size() != (expected ? 1U : 0U))
      refuse(expected ? "needs exactly one number, the " + std::string(meaning) : "takes no number");
    return unnamed.empty() ? "" : unnamed.front();
  }

  std::int64_t integer(const std::string& text, std::string_view what, std::int64_t least,
                       std::int64_t most) {
    const auto value = number<std::int64_t>(text);
    if (!value || *value < least || *value > most) {
      refuse(std::string(what) + " must be a whole number from " + std::to_string(least) + " to " +
             std::to_string(most));
      return least;
    }
    return *value;
  }

  /// Reads `name=value` options; unknown names are refused with the nearest allowed one.
  std::map<std::string, std::string> options(std::span<const std::string_view> allowed) {
    std::map<std::string, std::string> result;
    for (std::size_t i = 1; i < words_.size(); ++i) {
      const auto equals = words_[i].find('=');
      if (equals == std::string::npos) continue;
      const std::string name = words_[i].substr(0, equals);
      if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
        const auto nearest = nearest_word(name, allowed);
        refuse("unknown option '" + name + "'" +
               (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
      } else if (!result.emplace(name, words_[i].substr(equals + 1)).second) {
        refuse("option '" + name + "' is given twice");
      }
    }
    return result;
  }

 private:
  std::string key_;
  const std::string& line_;
  std::vector<base::Violation>& violations_;
  std::vector<std::string> words_;
  bool good_ = true;
};

constexpr std::int64_t largest_extent = 1 << 24;
/// Tensors and weights beyond this many elements are refused, so that no count can overflow.
constexpr double most_elements = 0x1p40;

double product(std::span<const std::int64_t> extents) {
  double elements = 1;
  for (const auto extent : extents)
    elements *= static_cast<double>(extent);
  return elements;
}

/// What a layer can do with the tensor axis: everything can be replicated or share out samples; what has
/// channels shares them out (column), what sums over inputs shares those out (row), images share out rows
/// (height). Whether a ReLU or the like stands among images is known later.
std::string parse_placement(LayerKind kind, const std::string& value, LineReader& reader) {
  static constexpr std::array<std::string_view, 5> all{"replicated", "batch", "column", "row", "height"};
  const bool sums = kind == LayerKind::linear || kind == LayerKind::conv;
  const bool flat = kind == LayerKind::linear || kind == LayerKind::flatten;
  std::vector<std::string_view> allowed;
  for (const auto name : all)
    if (!(name == "row" && !sums) && !(name == "height" && flat)) allowed.push_back(name);
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  std::string names;
  for (const auto name : allowed)
    names += (names.empty() ? "" : ", ") + std::string(name);
  const auto nearest = nearest_word(value, allowed);
  reader.refuse("cannot be placed as '" + value + "'; it takes " + names +
                (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
  return "";
}

Layer parse_layer(LineReader& reader) {
  Layer layer;
  if (reader.words().empty()) return reader.refuse("is empty"), layer;
  const auto found = std::find(kind_names.begin(), kind_names.end(), reader.words().front());
  if (found == kind_names.end()) {
    const auto nearest = nearest_word(reader.words().front(), kind_names);
    reader.refuse("unknown layer '" + reader.words().front() + "'; " +
                  (nearest.empty() ? "known are linear conv maxpool avgpool relu tanh flatten dropout"
                                   : "did you mean '" + nearest + "'?"));
    return layer;
  }
  layer.kind = static_cast<LayerKind>(found - kind_names.begin());
  const auto& words = reader.words();
  layer.frozen = std::find(words.begin() + 1, words.end(), "frozen") != words.end();
  if (layer.frozen && !layer.has_parameters()) reader.refuse("has no parameters that could be frozen");
  static constexpr std::array<std::string_view, 5> conv_options{"kernel", "padding", "stride", "placement",
                                                                "stage"};
  const bool pools = layer.kind == LayerKind::maxpool || layer.kind == LayerKind::avgpool;
  const auto allowed = std::span<const std::string_view>(conv_options)
                           .subspan(layer.kind == LayerKind::conv ? 0
                                    : pools                       ? 2
                                                                  : 3);
  auto options = reader.options(allowed);
  const auto option = [&](const std::string& name, std::int64_t otherwise, std::int64_t least) {
    return options.contains(name) ? reader.integer(options[name], name, least, 4096) : otherwise;
  };
  if (options.contains("placement"))
    layer.placement = parse_placement(layer.kind, options["placement"], reader);
  if (options.contains("stage")) layer.stage = reader.integer(options["stage"], "stage", 0, 1 << 20);
  switch (layer.kind) {
    case LayerKind::linear:
      layer.out = reader.integer(reader.argument(true, "number of features"), "features", 1, largest_extent);
      break;
    case LayerKind::conv:
      layer.out = reader.integer(reader.argument(true, "number of filters"), "filters", 1, largest_extent);
      if (!options.contains("kernel")) reader.refuse("needs kernel=SIZE");
      layer.kernel = option("kernel", 1, 1);
      layer.stride = option("stride", 1, 1);
      layer.padding = option("padding", 0, 0);
      break;
    case LayerKind::maxpool:
    case LayerKind::avgpool:
      layer.kernel = reader.integer(reader.argument(true, "window size"), "window", 1, 15);
      layer.stride = option("stride", layer.kernel, 1);
      break;
    case LayerKind::dropout: {
      const auto p = number<double>(reader.argument(true, "probability"));
      if (!p || !(*p >= 0 && *p < 1)) reader.refuse("probability must be at least 0 and below 1");
      layer.probability = p.value_or(0);
      break;
    }
    case LayerKind::relu:
    case LayerKind::tanh:
    case LayerKind::flatten:
      reader.argument(false, "");
      break;
  }
  return layer;
}

/// Output shape from the input's; refuses what does not fit, naming the layer and both shapes.
void infer_shape(Layer& layer, const Shape& input, LineReader& reader) {
  layer.input = input;
  layer.output = input;
  const std::string named = layer.name + " cannot follow an output of shape " + to_string(input) + ": ";
  switch (layer.kind) {
    case LayerKind::linear:
      if (input.rank() != 1)
        reader.refuse(named + "it takes a flat input of shape " + std::to_string(input.elements().value()) +
                      "; put a 'flatten' before it");
      layer.output = {layer.out};
      return;
    case LayerKind::conv:
    case LayerKind::maxpool:
    case LayerKind::avgpool: {
      if (input.rank() != 3) return reader.refuse(named + "it takes an image of shape CxHxW");
      const auto extent = [&](std::int64_t n) {
        return (n + 2 * layer.padding - layer.kernel) / layer.stride + 1;
      };
      if (std::min(input[1], input[2]) + 2 * layer.padding < layer.kernel)
        return reader.refuse(named + "its " + std::to_string(layer.kernel) + "x" +
                             std::to_string(layer.kernel) +
                             " window needs an image of at least that size; the largest kernel here is " +
                             std::to_string(std::min(input[1], input[2]) + 2 * layer.padding));
      layer.output = {layer.kind == LayerKind::conv ? layer.out : input[0], extent(input[1]),
                      extent(input[2])};
      return;
    }
    case LayerKind::flatten:
      layer.output = {input.elements().value()};
      return;
    case LayerKind::relu:
    case LayerKind::tanh:
    case LayerKind::dropout:
      if (layer.placement == "height" && input.rank() != 3)
        reader.refuse(named + "placement=height shares out the rows of images; nearest is placement=column");
      return;
  }
}

Shape parse_input(const std::string& text, std::vector<base::Violation>& violations) {
  std::vector<std::int64_t> extents;
  std::istringstream parts(text);
  bool good = !text.empty() && text.back() != 'x';
  for (std::string part; std::getline(parts, part, 'x');) {
    const auto extent = number<std::int64_t>(part);
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

}  // namespace

std::string nearest_word(std::string_view word, std::span<const std::string_view> candidates) {
  std::string best;
  std::size_t smallest = std::max<std::size_t>(3, word.size() / 2) + 1;
  for (const auto candidate : candidates)
    if (const auto distance = edit_distance(word, candidate); distance < smallest)
      smallest = distance, best = candidate;
  return best;
}

ModelSpec parse_model(const ModelText& text, std::vector<base::Violation>& violations) {
  ModelSpec model;
  model.name = text.name;
  const auto violations_before = violations.size();
  model.input = parse_input(text.input, violations);
  bool shapes_known = violations.size() == violations_before;
  if (text.loss == "mse") {
    model.loss = Loss::mse;
  } else if (text.loss != "cross-entropy") {
    violations.push_back({"model.loss", text.loss, "must be cross-entropy or mse"});
  }
  if (text.layers.empty()) violations.push_back({"model.layer", "", "a model needs at least one layer"});
  std::map<LayerKind, int> count;
  Shape current = model.input;
  for (std::size_t i = 0; i < text.layers.size(); ++i) {
    LineReader reader(i, text.layers[i], violations);
    Layer layer = parse_layer(reader);
    layer.name = std::string(to_string(layer.kind)) + std::to_string(++count[layer.kind]);
    if (shapes_known && reader.good()) infer_shape(layer, current, reader);
    if (shapes_known && reader.good() &&
        std::max(product(layer.output.extents()), product(layer.weight_shape().extents())) > most_elements)
      reader.refuse(layer.name + " is too large: its output or weight has more than 2^40 elements");
    shapes_known = shapes_known && reader.good();  // after a bad line further shapes would only repeat it
    current = layer.output;
    model.layers.push_back(std::move(layer));
  }
  if (shapes_known && !model.layers.empty() && current.rank() != 1)
    violations.push_back({"model.layer", model.layers.back().line(),
                          "the last layer must give a flat output, not " + to_string(current)});
  const bool trained = std::any_of(model.layers.begin(), model.layers.end(),
                                   [](const Layer& layer) { return layer.is_trained(); });
  if (shapes_known && !model.layers.empty() && !trained)
    violations.push_back(
        {"model.layer", "", "a model needs at least one linear or conv layer that is not frozen"});
  return model;
}

}  // namespace partita::model
