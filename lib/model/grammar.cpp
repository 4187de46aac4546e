/// What a layer line may say, and the text of --help layers, written from the descriptions of the kinds.
#include "partita/model/grammar.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "partita/base/number.hpp"

namespace partita::model {
namespace {

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

std::string listed(const std::vector<std::string_view>& names) {
  std::string text;
  for (const auto name : names)
    text += (text.empty() ? "" : " | ") + std::string(name);
  return text;
}

std::string usage(const LayerDescription& kind) {
  std::string text(kind.name);
  if (kind.argument) text += " " + upper(kind.argument->name);
  for (const auto& option : kind.options) {
    const std::string word = std::string(option.name) + "=" + upper(option.name);
    text += option.otherwise.empty() ? " " + word : " [" + word + "]";
  }
  return text + (kind.has_parameters() ? " [frozen]" : "");
}

void explain(std::ostream& out, const LayerDescription& kind) {
  out << "\n  " << usage(kind) << "\n";
  entry(out, "", std::string(kind.meaning));
  const auto value = [&](const LayerValue& v) {
    entry(out, upper(v.name),
          std::string(v.meaning) + "; " + allowed(v) +
              (v.otherwise.empty() ? "" : "; default: " + std::string(v.otherwise)));
    if (v.word) entry(out, v.word->name, std::string(v.word->meaning));
  };
  if (kind.argument) value(*kind.argument);
  for (const auto& option : kind.options)
    value(option);
  if (kind.has_parameters()) entry(out, "frozen", "its parameters stay as they are");
  entry(out, "placement", listed(kind.placements));
  entry(out, "example", "layer = " + std::string(kind.example));
}

}  // namespace

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

std::string allowed(const LayerValue& value) {
  if (std::holds_alternative<bool Layer::*>(value.field)) return "true or false";
  if (std::holds_alternative<double Layer::*>(value.field))
    return "at least " + base::shortest(value.least) + " and below " + base::shortest(value.most);
  const bool two = std::holds_alternative<Extent2 Layer::*>(value.field);
  return "a whole number from " + base::shortest(value.least) + " to " + base::shortest(value.most) +
         (two ? ", or two as HEIGHTxWIDTH" : "") +
         (value.word ? ", or " + std::string(value.word->name) : "");
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
  for (const auto& kind : layer_kinds())
    explain(out, kind);
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
