/// Reads the words of a line as its kind's row in the table says. All that is wrong with a line is said at
/// once, with what is allowed and the nearest word.
#include "layer_line.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <variant>

#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"
#include "partita/model/parse.hpp"

namespace partita::model {
namespace {

constexpr std::string_view frozen_word = "frozen";

template <class T>
bool read_whole(std::string_view text, T& value) {
  const auto number = base::number_of<T>(text);
  value = number.value_or(value);
  return number.has_value();
}

bool read_whole(std::string_view text, bool& value) {
  value = text == "true";
  return value || text == "false";
}

/// "3" or "3x5".
bool read_whole(std::string_view text, Extent2& value) {
  const auto by = text.find('x');
  if (by != std::string_view::npos)
    return read_whole(text.substr(0, by), value.h) && read_whole(text.substr(by + 1), value.w);
  const bool whole = read_whole(text, value.h);
  value.w = value.h;
  return whole;
}

bool is_within(const LayerValue&, bool) { return true; }
bool is_within(const LayerValue& value, double n) { return n >= value.least && n < value.most; }
bool is_within(const LayerValue& value, std::int64_t n) {
  return is_within(value, static_cast<double>(n)) || static_cast<double>(n) == value.most;
}
bool is_within(const LayerValue& value, const Extent2& n) {
  return is_within(value, n.h) && is_within(value, n.w);
}

std::string listed(const std::vector<std::string_view>& names) {
  std::string text;
  for (const auto name : names)
    text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

/// The nearest to a number among whole numbers of [least, most], or among all of [least, most).
std::string nearest_number(double n, double least, double most, bool whole) {
  if (!(n >= least)) return base::shortest(least);  // no other is nearer to a NaN
  return whole ? base::shortest(std::round(std::min(n, most))) : "just below " + base::shortest(most);
}

/// "; the nearest is …" of what a value may be; nothing where a text is neither a number nor like a word.
std::string nearest(const LayerValue& value, const std::string& text) {
  if (std::holds_alternative<bool Layer::*>(value.field)) return base::did_you_mean_boolean(text);
  const bool whole = !std::holds_alternative<double Layer::*>(value.field);
  const auto by = std::holds_alternative<Extent2 Layer::*>(value.field) ? text.find('x') : std::string::npos;
  const auto first = base::number_of<double>(std::string_view(text).substr(0, by)),
             second = by == std::string::npos ? first : base::number_of<double>(text.substr(by + 1));
  if (first && second)
    return "; the nearest is " + nearest_number(*first, value.least, value.most, whole) +
           (by == std::string::npos ? "" : "x" + nearest_number(*second, value.least, value.most, whole));
  return value.word ? base::did_you_mean(text, std::array{value.word->name}) : "";
}

std::vector<std::string_view> options_of(const LayerDescription& kind) {
  std::vector<std::string_view> names;
  for (const auto& option : kind.options)
    names.push_back(option.name);
  for (const auto& option : common_options())
    names.push_back(option.name);
  if (kind.has_parameters()) names.push_back(frozen_word);
  return names;
}

}  // namespace

LayerLine::LayerLine(std::size_t index, const std::string& line, std::vector<base::Violation>& violations)
    : key_("model.layer " + std::to_string(index + 1)), line_(line), violations_(violations) {
  std::istringstream words(line);
  for (std::string word; words >> word;)
    words_.push_back(word);
}

void LayerLine::refuse(const std::string& message) {
  violations_.push_back({key_, line_, message});
  good_ = false;
}

const LayerDescription* LayerLine::find_kind() {
  if (words_.empty()) return refuse("is empty"), nullptr;
  std::vector<std::string_view> names;
  for (const auto& known : layer_kinds()) {
    if (words_.front() == known.name) return &known;
    names.push_back(known.name);
  }
  refuse("unknown layer '" + words_.front() + "'" + base::did_you_mean(words_.front(), names) +
         "; known are " + listed(names) + " (--help layers)");
  return nullptr;
}

void LayerLine::read_value(const LayerValue& value, const std::string& text, Layer& layer) {
  const bool is_word = value.word && text == value.word->name;
  if (is_word) applied_last_.push_back(*value.word);
  const auto read = [&]<class T>(T Layer::*field) {
    layer.*field = T{};  // what a word stands for is not known yet
    if (!is_word && !(read_whole(text, layer.*field) && is_within(value, layer.*field)))
      refuse(std::string(value.name) + " must be " + allowed(value) + nearest(value, text));
  };
  std::visit(read, value.field);
}

void LayerLine::read_argument(const LayerDescription& kind, Layer& layer) {
  std::vector<std::string> bare;
  for (std::size_t i = 1; i < words_.size(); ++i)
    if (words_[i] != frozen_word && words_[i].find('=') == std::string::npos) bare.push_back(words_[i]);
  if (!kind.argument) {
    if (!bare.empty()) refuse("takes no number");
    return;
  }
  if (bare.size() != 1)
    refuse("needs exactly one number, the " + std::string(kind.argument->name) + ": " +
           allowed(*kind.argument));
  else
    read_value(*kind.argument, bare.front(), layer);
}

std::map<std::string, std::string> LayerLine::read_options(const LayerDescription& kind) {
  const auto known = options_of(kind);
  std::map<std::string, std::string> result;
  for (std::size_t i = 1; i < words_.size(); ++i) {
    const auto equals = words_[i].find('=');
    if (equals == std::string::npos) continue;
    const std::string name = words_[i].substr(0, equals);
    if (name == frozen_word)
      refuse(kind.has_parameters() ? "'frozen' stands alone, without a value"
                                   : "has no parameters that could be frozen");
    else if (std::find(known.begin(), known.end(), name) == known.end())
      refuse("unknown option '" + name + "'" + base::did_you_mean(name, known) + "; " +
             std::string(kind.name) + " takes " + listed(known));
    else if (!result.emplace(name, words_[i].substr(equals + 1)).second)
      refuse("option '" + name + "' is given twice");
  }
  return result;
}

void LayerLine::read_placement(const LayerDescription& kind, const std::string& value, Layer& layer) {
  const auto& known = kind.placements;
  if (std::find(known.begin(), known.end(), value) != known.end())
    layer.placement = value;
  else
    refuse("cannot be placed as '" + value + "'; it takes " + listed(known) +
           base::did_you_mean(value, known));
}

Layer LayerLine::read() {
  Layer layer;
  const auto* const known = find_kind();
  if (known == nullptr) return layer;
  layer.kind = known->kind;
  layer.frozen = std::find(words_.begin() + 1, words_.end(), frozen_word) != words_.end();
  if (layer.frozen && !known->has_parameters()) refuse("has no parameters that could be frozen");
  read_argument(*known, layer);
  const auto options = read_options(*known);
  for (const auto& value : known->options) {
    if (const auto given = options.find(std::string(value.name)); given != options.end())
      read_value(value, given->second, layer);
    else if (value.set_standard == nullptr)
      refuse("needs " + std::string(value.name) + "=SIZE, " + allowed(value));
    else
      value.set_standard(layer);
  }
  for (const auto& word : applied_last_)
    if (const auto why = good_ ? word.apply(layer) : ""; !why.empty()) refuse(why);
  if (const auto given = options.find("placement"); given != options.end())
    read_placement(*known, given->second, layer);
  if (const auto given = options.find("stage"); given != options.end()) {
    int stage = 0;
    if (!read_whole(given->second, stage) || stage < 0 || stage > most_stages) {
      const auto n = base::number_of<double>(given->second);
      refuse("stage must be a whole number from 0 to " + std::to_string(most_stages) +
             (n ? "; the nearest is " + nearest_number(*n, 0, most_stages, true) : ""));
    }
    layer.stage = stage;
  }
  if (const auto given = options.find("name"); given != options.end()) {
    layer.name = given->second;
    layer.is_named = true;
    if (!is_layer_name(layer.name))
      refuse("a name has letters, digits, '_', '-' and '.', at most 64, and none of the last two first");
  }
  return layer;
}

}  // namespace partita::model
