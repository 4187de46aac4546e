/// Expands "0.1, 1..8*2, 10..30+10": words stay as they are, ranges add or multiply, and a range that comes
/// no nearer to its end is refused.
#include "values.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>

#include "partita/base/number.hpp"

namespace partita::sweep {
namespace {

using base::Violation;

constexpr std::size_t most_values = 100000;

struct Range {
  double first = 0, last = 0, step = 1;
  bool multiplies = false;
};

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::optional<double> number(const std::string& text) {
  const auto value = base::number_of<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

/// A range, where its parts are numbers; "../models/cnn.ini" is none.
std::optional<Range> range_of(const std::string& text) {
  const auto dots = text.find("..");
  if (dots == std::string::npos) return std::nullopt;
  std::string end = text.substr(dots + 2);
  Range range;
  // The sign of an exponent, as in 1e+3, is no step.
  auto mark = end.find('*');
  for (auto at = end.find('+', 1); mark == std::string::npos && at != std::string::npos;
       at = end.find('+', at + 1))
    if (end[at - 1] != 'e' && end[at - 1] != 'E') mark = at;
  if (mark != std::string::npos) {
    range.multiplies = end[mark] == '*';
    const auto step = number(trimmed(end.substr(mark + 1)));
    if (!step) return std::nullopt;
    range.step = *step;
    end.resize(mark);
  }
  const auto first = number(trimmed(text.substr(0, dots))), last = number(trimmed(end));
  if (!first || !last) return std::nullopt;
  range.first = *first, range.last = *last;
  return range;
}

/// Twelve digits: what a sum or product of decimal fractions means, without its rounding error. Whole numbers
/// have no exponent, so that keys of whole numbers can read them.
std::string text_of(double value) {
  char buffer[64];
  const auto format = value == std::floor(value) && std::abs(value) < 1e15 ? std::chars_format::fixed
                                                                           : std::chars_format::general;
  const int precision = format == std::chars_format::fixed ? 0 : 12;
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, format, precision).ptr};
}

/// The values of a range; nothing where it does not come nearer to its end.
std::vector<std::string> values_of(const Range& range) {
  const auto next = [&](double value) { return range.multiplies ? value * range.step : value + range.step; };
  const double tolerance = 1e-9 * std::max(std::abs(range.first), std::abs(range.last));
  const bool up = range.last >= range.first;
  if (range.first != range.last &&
      std::abs(range.last - next(range.first)) >= std::abs(range.last - range.first))
    return {};
  std::vector<std::string> values;
  double value = range.first;
  for (std::size_t i = 0; values.size() <= most_values; ++i) {
    if (up ? value > range.last + tolerance : value < range.last - tolerance) break;
    values.push_back(text_of(value));
    if (range.first == range.last) break;
    const auto steps = static_cast<double>(i + 1);
    value = range.multiplies ? range.first * std::pow(range.step, steps) : range.first + steps * range.step;
  }
  return values;
}

}  // namespace

std::vector<std::string> expand(const std::string& key, const std::string& list,
                                std::vector<Violation>& violations) {
  std::vector<std::string> values;
  if (trimmed(list).empty()) {
    violations.push_back({key, "", "is an empty list; give at least one value"});
    return values;
  }
  std::istringstream elements(list + ",");
  for (std::string element; std::getline(elements, element, ',');) {
    element = trimmed(element);
    const auto range = range_of(element);
    const auto part = range ? values_of(*range) : std::vector<std::string>{element};
    if (element.empty())
      violations.push_back({key, list, "has an empty element between its commas"});
    else if (part.empty())
      violations.push_back({key, element, "never comes nearer to its end; the step is wrong"});
    else
      values.insert(values.end(), part.begin(), part.end());
    if (values.size() > most_values) {
      violations.push_back({key, list, "has more than " + std::to_string(most_values) + " values"});
      return {};
    }
  }
  return values;
}

}  // namespace partita::sweep
