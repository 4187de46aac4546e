/// The table of layer kinds itself (arguments, options, limits, placements), and the text of --help layers
/// that is written from it.
#include "partita/model/grammar.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace partita::model {
namespace {

using Placements = std::vector<std::string_view>;

/// What a layer can do with the tensor axis: everything can be replicated or share out samples; what has
/// channels shares them out (column), what sums over inputs shares those out (row), images share out rows
/// (height). Whether a ReLU or the like stands among images is known later.
const Placements sums{"replicated", "batch", "column", "row"};
const Placements sums_of_images{"replicated", "batch", "column", "row", "height"};
const Placements channels{"replicated", "batch", "column"};
const Placements images{"replicated", "batch", "column", "height"};

/// `largest_of_maximum`: kernels keep which element of a window won in one byte.
constexpr double largest_window = 4096, largest_of_maximum = 16;

LayerGrammar pooling(LayerKind kind, std::string_view meaning, double largest, std::string_view example) {
  return {.kind = kind,
          .meaning = meaning,
          .argument = LayerNumber{"window", "edge of the square that becomes one element", 1, largest,
                                  &Layer::kernel},
          .options = {{"stride", "between two windows", 1, largest_window, &Layer::stride, "the window"}},
          .placements = images,
          .has_parameters = false,
          .example = example};
}

LayerGrammar elementwise(LayerKind kind, std::string_view meaning) {
  return {.kind = kind,
          .meaning = meaning,
          .placements = images,
          .has_parameters = false,
          .example = to_string(kind)};
}

/// "name  meaning", continued under the meaning.
void entry(std::ostream& out, std::string_view name, const std::string& meaning) {
  constexpr std::size_t column = 26, width = 100;
  std::string line = "    " + std::string(name);
  line.resize(std::max(column, line.size() + 2), ' ');
  std::istringstream words(meaning);
  bool empty = true;
  for (std::string word; words >> word; empty = false) {
    if (!empty && line.size() + 1 + word.size() > width) {
      out << line << "\n";
      line = std::string(column, ' ');
      empty = true;
    }
    line += (empty ? "" : " ") + word;
  }
  out << line << "\n";
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

std::string listed(const Placements& names) {
  std::string text;
  for (const auto name : names)
    text += (text.empty() ? "" : " | ") + std::string(name);
  return text;
}

std::string usage(const LayerGrammar& grammar) {
  std::string text(to_string(grammar.kind));
  if (grammar.argument) text += " " + upper(grammar.argument->name);
  for (const auto& option : grammar.options) {
    const std::string word = std::string(option.name) + "=" + upper(option.name);
    text += option.otherwise.empty() ? " " + word : " [" + word + "]";
  }
  return text + (grammar.has_parameters ? " [frozen]" : "");
}

void explain(std::ostream& out, const LayerGrammar& grammar) {
  out << "\n  " << usage(grammar) << "\n";
  entry(out, "", std::string(grammar.meaning));
  const auto number = [&](const LayerNumber& n) {
    entry(out, upper(n.name),
          std::string(n.meaning) + "; " + allowed(n) +
              (n.otherwise.empty() ? "" : "; default: " + std::string(n.otherwise)));
  };
  if (grammar.argument) number(*grammar.argument);
  for (const auto& option : grammar.options)
    number(option);
  if (grammar.has_parameters) entry(out, "frozen", "its parameters stay as they are");
  entry(out, "placement", listed(grammar.placements));
  entry(out, "example", "layer = " + std::string(grammar.example));
}

}  // namespace

const std::vector<LayerGrammar>& layer_grammar() {
  static const std::vector<LayerGrammar> grammar{
      {.kind = LayerKind::linear,
       .meaning = "a fully connected layer: y = W x + b, of a flat input",
       .argument = LayerNumber{"features", "of its output", 1, largest_extent, &Layer::out},
       .options = {},
       .placements = sums,
       .has_parameters = true,
       .example = "linear 10 name=head placement=column"},
      {.kind = LayerKind::conv,
       .meaning = "a convolution with bias, of images CxHxW",
       .argument = LayerNumber{"filters", "channels of its output", 1, largest_extent, &Layer::out},
       .options = {{"kernel", "edge of its square windows", 1, largest_window, &Layer::kernel},
                   {"stride", "between two windows", 1, largest_window, &Layer::stride, "1"},
                   {"padding", "zeros around the image, on each side", 0, largest_window, &Layer::padding,
                    "0"}},
       .placements = sums_of_images,
       .has_parameters = true,
       .example = "conv 10 kernel=5 padding=2"},
      pooling(LayerKind::maxpool, "the largest element of each window", largest_of_maximum, "maxpool 2"),
      pooling(LayerKind::avgpool, "the mean of each window", largest_window, "avgpool 3 stride=2"),
      elementwise(LayerKind::relu, "max(x, 0) of each element"),
      elementwise(LayerKind::tanh, "the hyperbolic tangent of each element"),
      {.kind = LayerKind::flatten,
       .meaning = "images CxHxW become vectors, as linear takes them",
       .placements = channels,
       .has_parameters = false,
       .example = "flatten"},
      {.kind = LayerKind::dropout,
       .meaning = "in training sets elements to 0 at random and scales the others by 1/(1-p)",
       .argument = LayerNumber{"probability", "p, of an element to become 0", 0, 1, &Layer::probability},
       .options = {},
       .placements = images,
       .has_parameters = false,
       .example = "dropout 0.5"}};
  return grammar;
}

const std::vector<CommonOption>& common_options() {
  static const std::vector<CommonOption> options{
      {"name", "NAME",
       "what files and messages call it: letters, digits, '_', '-' and '.', once in a model; default: its "
       "kind "
       "and its number among its kind, such as conv1"},
      {"placement", "HOW", "its place on the tensor axis, as listed with each layer; default: the cheapest"},
      {"stage", "K",
       "the pipeline's stage that has it, from 0 (grid.pipeline); default: cut so that the costliest stage "
       "is "
       "cheapest"}};
  return options;
}

std::string allowed(const LayerNumber& number) {
  const auto text = [](double n) { return std::to_string(static_cast<std::int64_t>(n)); };
  if (std::holds_alternative<double Layer::*>(number.field))
    return "at least " + text(number.least) + " and below " + text(number.most);
  return "a whole number from " + text(number.least) + " to " + text(number.most);
}

bool is_layer_name(std::string_view name) {
  constexpr std::size_t longest = 64;
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  return !name.empty() && name.size() <= longest && plain(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || c == '-' || c == '.'; });
}

std::string grammar_text() {
  std::ostringstream out;
  out << "A model is an input shape, layers in order, and a loss:\n\n"
         "  [model]\n"
         "  name = two-layers           # for results, any text\n"
         "  input = 1x28x28             # CHANNELSxHEIGHTxWIDTH, or FEATURES such as 784\n"
         "  layer = flatten             # one line a layer, from the input to the output\n"
         "  layer = linear 128\n"
         "  layer = relu\n"
         "  layer = linear 10 name=head\n"
         "  loss = cross-entropy        # or mse\n\n"
         "It stands in the run's file, or in a file of its own that the run names (model.file = FILE, "
         "relative\n"
         "to the run's file). On the command line --model.layer=LINE, repeated, replaces the whole list.\n"
         "The last layer gives a flat output: as many elements as classes, or as a target has.\n\n"
         "Layers (brackets: may be left out):\n";
  for (const auto& grammar : layer_grammar())
    explain(out, grammar);
  out << "\nEvery layer takes:\n\n";
  for (const auto& option : common_options())
    entry(out, std::string(option.name) + "=" + std::string(option.value), std::string(option.meaning));
  out << "\nPlacements on the tensor axis of t ranks (grid.tensor):\n\n";
  entry(out, "replicated", "every rank computes all of it");
  entry(out, "batch", "every rank takes a share of the samples");
  entry(out, "column", "every rank takes a share of the output's features or channels");
  entry(out, "row", "every rank takes a share of the input's, and the products are summed");
  entry(out, "height", "every rank takes some rows of each image, and neighbours exchange their borders");
  return out.str();
}

}  // namespace partita::model
