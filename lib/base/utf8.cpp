/// Bytes that are not UTF-8 become `\xNN`, and so does the backslash of what already looks like such an
/// escape: the way back then has one reading.
#include "partita/base/utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace partita::base {
namespace {

std::uint32_t byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

/// Bytes of the character that begins at `i`; 0 where none does (RFC 3629: no surrogates, nothing overlong).
std::size_t character_at(std::string_view text, std::size_t i) {
  const auto first = byte_at(text, i);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || i + length > text.size()) return 0;
  std::uint32_t code = first & (0x7FU >> length);
  for (std::size_t k = 1; k < length; ++k) {
    const auto next = byte_at(text, i + k);
    if ((next & 0xC0U) != 0x80) return 0;
    code = code << 6 | (next & 0x3FU);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return code < least[length] || code > 0x10FFFF || surrogate ? 0 : length;
}

constexpr std::string_view digits = "0123456789abcdef";

std::string escaped(std::uint32_t byte) { return {'\\', 'x', digits[byte >> 4], digits[byte & 15]}; }

bool is_digit(char c) { return digits.find(c) != std::string_view::npos; }

/// Whether "\xNN" stands at `i`.
bool is_escape(std::string_view text, std::size_t i) {
  const auto word = text.substr(i, 4);
  return word.size() == 4 && word.starts_with("\\x") && is_digit(word[2]) && is_digit(word[3]);
}

/// Whether a terminal or a reader of lines may take a valid character for something to do: control characters
/// (U+0000 to 1F, 7F to 9F), and the separators of lines and paragraphs (U+2028, 2029).
bool steers(std::string_view character) {
  const auto first = byte_at(character, 0);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  if (character.size() == 2) return first == 0xC2 && byte_at(character, 1) < 0xA0;
  return character == "\xe2\x80\xa8" || character == "\xe2\x80\xa9";
}

}  // namespace

std::string as_utf8(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const auto length = character_at(text, i);
    if (length == 0 || is_escape(text, i))
      result += escaped(byte_at(text, i));
    else
      result += text.substr(i, length);
    i += std::max<std::size_t>(length, 1);
  }
  return result;
}

std::string as_line(std::string_view text) {
  const auto whole = as_utf8(text);
  std::string line;
  for (std::size_t i = 0; i < whole.size();) {
    const auto character = std::string_view(whole).substr(i, character_at(whole, i));
    if (steers(character))
      for (const char c : character)
        line += escaped(static_cast<unsigned char>(c));
    else
      line += character;
    i += character.size();
  }
  return line;
}

std::string from_utf8(std::string_view escaped) {
  std::string result;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    if (!is_escape(escaped, i)) {
      result += escaped[i];
      continue;
    }
    result += static_cast<char>(digits.find(escaped[i + 2]) << 4 | digits.find(escaped[i + 3]));
    i += 3;
  }
  return result;
}

}  // namespace partita::base
