/// Values of statements as text: what may stand there, how it is read and written.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "grammar.hpp"
#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"
#include "words.hpp"

namespace partita::machine {
namespace {

bool is_rank(const Field& field) { return field.name == "first" || field.name == "last"; }

/// What a real number is, and what it can be.
struct Quantity {
  std::string_view placeholder, bounds, example;
  double least = 0, most = std::numeric_limits<double>::max();
  bool is_positive = false;
};

Quantity quantity_of(const Field& field) {
  constexpr double most_seconds = 1000;  // beyond, simulations do not end
  if (field.name.ends_with("_per_second"))
    return {.placeholder = "RATE", .bounds = "above 0", .example = "10e9", .is_positive = true};
  if (field.name == "taper")
    return {.placeholder = "FACTOR", .bounds = "above 0", .example = "2", .is_positive = true};
  if (field.name == "factor")
    return {.placeholder = "FACTOR", .bounds = "from 1", .example = "1.2", .least = 1};
  if (field.name.starts_with("within_") || field.name.starts_with("between_"))
    return {.placeholder = "DEVIATION", .bounds = "from 0 to 2", .example = "0.05", .most = 2};
  return {.placeholder = "SECONDS", .bounds = "from 0 to 1000", .example = "5e-6", .most = most_seconds};
}

std::string listed(std::span<const std::string_view> words, std::string_view between) {
  std::string text;
  for (const auto word : words)
    text += (text.empty() ? "" : std::string(between)) + std::string(word);
  return text;
}

/// Numbers with an 'x' between each two.
std::optional<std::vector<std::int64_t>> extents_of(std::string_view text) {
  std::vector<std::int64_t> extents;
  while (true) {
    const auto by = std::min(text.find('x'), text.size());
    const auto extent = base::number_of<std::int64_t>(text.substr(0, by));
    if (!extent || *extent < 0) return std::nullopt;
    extents.push_back(*extent);
    if (by == text.size()) return extents;
    text.remove_prefix(by + 1);
  }
}

/// Reads a value into its place: nothing, or what it must be.
struct Reader {
  const Field& field;
  const std::string& text;

  std::string operator()(double* value) const {
    const auto number = base::number_of<double>(text);
    const auto quantity = quantity_of(field);
    if (!number || !(*number >= quantity.least && *number <= quantity.most) ||
        (quantity.is_positive && *number == 0))
      return "must be a number " + std::string(quantity.bounds) + ", such as " +
             std::string(quantity.example);
    *value = *number + 0.0;  // −0 is 0
    return {};
  }
  template <class Whole>
  std::string operator()(Whole* value) const requires std::is_integral_v<Whole> {
    const auto number = base::number_of<Whole>(text);
    if (!number || *number < (is_rank(field) ? 0 : 1))
      return is_rank(field) ? "must be a rank from 0, such as 4"
                            : "must be a whole number from 1, such as 64";
    *value = *number;
    return {};
  }
  std::string operator()(kernels::Bytes* value) const {
    const auto number = base::number_of<std::int64_t>(text);
    if (!number || *number < 0) return "must be a whole number from 0, such as 8192";
    *value = kernels::Bytes(*number);
    return {};
  }
  std::string operator()(bool* value) const {
    if (text != "0" && text != "1") return "must be 0 or 1";
    *value = text == "1";
    return {};
  }
  std::string operator()(std::string* value) const {
    *value = text;
    return text.empty() && field.must_be_given ? "must be a word, or a text in quotation marks" : "";
  }
  std::string operator()(const Choice& value) const {
    *value.word = text;
    const auto refused = [](std::string_view word, std::span<const std::string_view> words,
                            const std::string& where) -> std::string {
      if (std::ranges::find(words, word) != words.end()) return {};
      const auto nearest = base::nearest_word(word, words);
      return where + "must be " + listed(words, " or ") +
             (nearest.empty() ? "" : "; the nearest is " + nearest);
    };
    auto plus = value.marks.empty() ? std::string::npos : text.find('+');
    auto why = refused(std::string_view(text).substr(0, plus), value.words, "");
    while (why.empty() && plus != std::string::npos) {
      const auto next = text.find('+', plus + 1);
      why = refused(std::string_view(text).substr(plus + 1, next - plus - 1), value.marks,
                    "what follows a '+' ");
      plus = next;
    }
    return why;
  }
  std::string operator()(std::vector<std::int64_t>* value) const {
    const auto extents = extents_of(text);
    if (!extents) return "must be whole numbers from 0 with x between, such as 100x784x128";
    *value = *extents;
    return {};
  }
};

struct Writer {
  std::string operator()(const double* value) const {
    return std::isinf(*value) ? std::string() : base::shortest(*value);
  }
  std::string operator()(const std::int64_t* value) const {
    const bool is_said = *value > 0 && *value != std::numeric_limits<std::int64_t>::max();
    return is_said ? std::to_string(*value) : std::string();
  }
  std::string operator()(const int* value) const { return std::to_string(*value); }
  std::string operator()(const kernels::Bytes* value) const { return std::to_string(value->value()); }
  std::string operator()(const bool* value) const { return *value ? "1" : "0"; }
  std::string operator()(const std::string* value) const {
    return value->empty() ? std::string() : as_value(*value);
  }
  std::string operator()(const Choice& value) const { return *value.word; }
  std::string operator()(const std::vector<std::int64_t>* value) const {
    std::string text;
    for (const auto extent : *value)
      text += (text.empty() ? "" : "x") + std::to_string(extent);
    return text;
  }
};

/// What stands for a value in the form of its statement.
struct Placeholder {
  const Field& field;
  std::string operator()(const double*) const { return std::string(quantity_of(field).placeholder); }
  std::string operator()(const std::int64_t*) const { return "NUMBER"; }
  std::string operator()(const int*) const { return is_rank(field) ? "RANK" : "NUMBER"; }
  std::string operator()(const kernels::Bytes*) const { return "BYTES"; }
  std::string operator()(const bool*) const { return "0|1"; }
  std::string operator()(const std::string*) const { return "TEXT"; }
  std::string operator()(const Choice& choice) const {
    constexpr std::size_t few = 5;
    return choice.words.size() > few ? "WORD" : listed(choice.words, "|");
  }
  std::string operator()(const std::vector<std::int64_t>*) const { return "AxB…"; }
};

}  // namespace

std::string read(const Field& field, const std::string& text) {
  return std::visit(Reader{field, text}, field.value);
}

std::string text_of(const Field& field) { return std::visit(Writer{}, field.value); }

std::string form_of(const Statement& statement) {
  std::string form(statement.word);
  if (!statement.level.empty()) form += " level=" + std::string(statement.level);
  File any;
  if (statement.append != nullptr) statement.append(any);
  for (const auto& field : statement.fields(any, 0)) {
    const auto value = std::string(field.name) + "=" + std::visit(Placeholder{field}, field.value);
    form += field.must_be_given ? " " + value : " [" + value + "]";
  }
  return form;
}

}  // namespace partita::machine
