/// Kinds of keys: numbers within bounds, words, choices, shapes. Each knows how a text becomes a value, how a
/// value becomes a text, and what to say of a text that it refuses.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <type_traits>
#include <vector>

#include "keys.hpp"
#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"

namespace partita::config {

template <class T>
std::string text_of(T value) {
  if constexpr (std::is_same_v<T, bool>)
    return value ? "true" : "false";
  else
    return base::shortest(value);
}

/// Beyond any count, and any number, that is meant.
inline constexpr std::int64_t large = 1LL << 40;
inline constexpr double no_limit = 1e30;

/// Bounds of a number; `open` excludes the lower one.
template <class T>
struct Bounds {
  T least, most;
  bool open = false;
};

template <class T>
std::string allowed(const Bounds<T>& bounds) {
  return std::string(std::is_integral_v<T> ? "a whole number " : "a number ") +
         (bounds.open ? "above " : "from ") + text_of(bounds.least) + " to " + text_of(bounds.most);
}

/// "; the nearest is …"; a word has none.
template <class T>
std::string nearest(const Bounds<T>& bounds, bool below) {
  if (below && bounds.open) return "; the nearest lie just above " + text_of(bounds.least);
  return "; the nearest is " + text_of(below ? bounds.least : bounds.most);
}

/// Parses strictly: the whole text, no sign lost, no infinity, no NaN.
template <class T>
std::string read_number(const std::string& text, const Bounds<T>& bounds, T& target) {
  const bool negative = text.starts_with('-');
  T value{};
  // An unsigned type refuses the sign itself.
  const char* const begin = text.data() + (std::is_unsigned_v<T> && negative ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  std::string must = "must be " + allowed(bounds);
  if (text.empty() || end != text.data() + text.size() || error == std::errc::invalid_argument) return must;
  // No value is nearer to a NaN than another; the least is one that would do.
  if (value != value)
    return must + (bounds.open ? "; the least lie just above " : "; the least is ") + text_of(bounds.least);
  if (error == std::errc::result_out_of_range || (std::is_unsigned_v<T> && negative)) {
    const bool tiny = std::is_floating_point_v<T> && text.find("e-") != std::string::npos;
    return must + nearest(bounds, negative || tiny);
  }
  if (value < bounds.least || (bounds.open && value == bounds.least)) return must + nearest(bounds, true);
  if (value > bounds.most) return must + nearest(bounds, false);
  return target = value, "";
}

template <class T, class Get>
Key number(const std::string& name, const std::string& meaning, Bounds<T> bounds, Get get,
           bool decides = true) {
  return {
      .name = name,
      .meaning = meaning + " (" + allowed(bounds) + ")",
      .decides_result = decides,
      .read = [=](RunOptions& o, const std::string& text) { return read_number<T>(text, bounds, get(o)); },
      .print = [=](const RunOptions& o) { return text_of<T>(get(const_cast<RunOptions&>(o))); }};
}

template <class T, class Get>
Key optional_number(const std::string& name, const std::string& meaning, Bounds<T> bounds, Get get,
                    bool decides = true) {
  return {.name = name,
          .meaning = meaning + " (" + allowed(bounds) + ")",
          .decides_result = decides,
          .read =
              [=](RunOptions& o, const std::string& text) {
                T value{};
                auto wrong = read_number<T>(text, bounds, value);
                if (wrong.empty()) get(o) = std::decay_t<decltype(*get(o))>(value);
                return wrong;
              },
          .print = [=](const RunOptions& o) -> std::optional<std::string> {
            const auto& value = get(const_cast<RunOptions&>(o));
            if (!value) return std::nullopt;
            if constexpr (requires { value->value(); })
              return text_of<T>(value->value());
            else
              return text_of<T>(*value);
          }};
}

/// Numbers between blanks or commas.
inline std::string read_numbers(const std::string& text, const Bounds<double>& bounds,
                                std::vector<double>& target) {
  std::vector<double> values;
  std::istringstream parts(text + ",");
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream words(part);
    const auto before = values.size();
    for (std::string word; words >> word;)
      if (const auto wrong = read_number(word, bounds, values.emplace_back()); !wrong.empty())
        return word == text ? wrong : "'" + word + "' " + wrong;
    if (values.size() == before) return "must be numbers between commas or blanks";
  }
  return target = std::move(values), "";
}

/// One number, or one for each channel.
template <class Get>
Key channel_numbers(const std::string& name, const std::string& meaning, Bounds<double> bounds, Get get) {
  return {.name = name,
          .meaning = meaning + " (" + allowed(bounds) + ")",
          .read = [=](RunOptions& o, const std::string& text) { return read_numbers(text, bounds, get(o)); },
          .print = [=](const RunOptions& o) -> std::optional<std::string> {
            const auto& values = get(const_cast<RunOptions&>(o));
            return values.empty() ? std::nullopt : std::optional(data::to_string(values));
          }};
}

template <class Get>
Key boolean(const std::string& name, const std::string& meaning, Get get, bool decides = true) {
  return {.name = name,
          .meaning = meaning + " (true or false)",
          .decides_result = decides,
          .read = [=](RunOptions& o, const std::string& text) -> std::string {
            if (text != "true" && text != "false")
              return "must be true or false" + base::did_you_mean_boolean(text);
            get(o) = text == "true";
            return "";
          },
          .print = [=](const RunOptions& o) { return text_of<bool>(get(const_cast<RunOptions&>(o))); }};
}

template <class Get>
Key text(const std::string& name, const std::string& meaning, Get get, bool decides = true) {
  return {.name = name,
          .meaning = meaning,
          .decides_result = decides,
          .read = [=](RunOptions& o, const std::string& value) -> std::string {
            if (value.empty()) return "must not be empty";
            return get(o) = value, "";
          },
          .print = [=](const RunOptions& o) -> std::optional<std::string> {
            const std::string value = get(const_cast<RunOptions&>(o));
            return value.empty() ? std::nullopt : std::optional(value);
          }};
}

inline std::string_view to_string(data::Task task) {
  return task == data::Task::classification ? "classification" : "regression";
}

inline std::string_view to_string(ErrorFeedback feedback) {
  constexpr std::string_view words[] = {"auto", "on", "off"};
  return words[static_cast<int>(feedback)];
}

/// One of a few words: an array or vector of values that have a to_string.
template <class Values, class Get>
Key choice(const std::string& name, const std::string& meaning, Values values, Get get,
           const std::string& not_yet = "") {
  using E = typename Values::value_type;
  std::string words;
  for (const E value : values)
    words += (words.empty() ? "" : " | ") + std::string(to_string(value));
  return {
      .name = name,
      .meaning = meaning + " (" + words + ")",
      .read = [=](RunOptions& o, const std::string& value) -> std::string {
        for (const E candidate : values)
          if (value == to_string(candidate)) return get(o) = candidate, "";
        std::vector<std::string_view> names;
        for (const E candidate : values)
          names.push_back(to_string(candidate));
        return "must be one of " + words + base::did_you_mean(value, names) +
               (not_yet.empty() ? "" : "; " + not_yet);
      },
      .print = [=](const RunOptions& o) { return std::string(to_string(get(const_cast<RunOptions&>(o)))); }};
}

/// "10" or "3x32x32".
inline std::string read_shape(const std::string& text, kernels::Shape& target) {
  std::vector<std::int64_t> extents;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('x', begin), text.size());
    std::int64_t extent = 0;
    if (!read_number<std::int64_t>(text.substr(begin, end - begin), {1, data::most_extent}, extent).empty())
      return "must be N or CHANNELSxHEIGHTxWIDTH with extents from 1 to " + text_of(data::most_extent);
    extents.push_back(extent);
    begin = end + 1;
  }
  if (extents.size() == 1) return target = {extents[0]}, "";
  if (extents.size() == 3) return target = {extents[0], extents[1], extents[2]}, "";
  return "must have one extent or three";
}

template <class Get>
Key shape(const std::string& name, const std::string& meaning, Get get) {
  return {.name = name,
          .meaning = meaning + " (N or CxHxW, extents from 1 to " + text_of(data::most_extent) + ")",
          .read = [=](RunOptions& o, const std::string& value) { return read_shape(value, get(o)); },
          .print = [=](const RunOptions& o) { return to_string(get(const_cast<RunOptions&>(o))); }};
}

}  // namespace partita::config
