/// Numbers as text, whatever the locale.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace partita::base {

/// The shortest text that reads back as the same number.
template <class Number>
std::string shortest(Number value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

/// The number that the whole of a text is, if it is one and fits the type; floating-point types take "nan"
/// and "inf", too.
template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto* const end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && read == end ? std::optional(value) : std::nullopt;
}

}  // namespace partita::base
