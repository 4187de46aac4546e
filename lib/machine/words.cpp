/// Splits statements into words, and writes texts as values.
#include "words.hpp"

#include <algorithm>
#include <cctype>

#include "partita/base/utf8.hpp"

namespace partita::machine {
namespace {

bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

bool is_plain(char c) {
  constexpr std::string_view marks = "_.+-:/,@()";
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || marks.find(c) != std::string_view::npos;
}

/// Takes the next word off the line; in quotation marks a value may have blanks.
std::string next_word(std::string_view& line, bool& is_quoted, std::string& wrong) {
  const auto begin = std::find_if_not(line.begin(), line.end(), is_blank);
  line.remove_prefix(static_cast<std::size_t>(begin - line.begin()));
  const auto blank =
      static_cast<std::size_t>(std::find_if(line.begin(), line.end(), is_blank) - line.begin());
  const auto quote = line.find("=\"");
  is_quoted = quote < blank;
  const auto end = is_quoted ? line.find('"', quote + 2) : blank;
  if (end == std::string_view::npos) wrong = "has a quotation mark that none closes";
  std::string word(line.substr(0, end));
  line.remove_prefix(std::min(line.size(), is_quoted && wrong.empty() ? end + 1 : end));
  return word;
}

}  // namespace

Words words_of(std::string_view line) {
  Words words;
  bool is_quoted = false;
  words.word = next_word(line, is_quoted, words.wrong);
  while (words.wrong.empty()) {
    const auto word = next_word(line, is_quoted, words.wrong);
    if (word.empty()) break;
    const auto equals = std::min(word.find('='), word.size());
    const auto name = word.substr(0, equals);
    auto value = word.substr(std::min(equals + (is_quoted ? 2 : 1), word.size()));
    if (is_quoted) value = base::from_utf8(value);
    if (!words.values.emplace(name, value).second) words.wrong = "names " + name + " twice";
  }
  return words;
}

std::string as_value(std::string_view text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
  std::string escaped = base::as_line(text);
  for (const auto& [mark, code] : {std::pair('"', "\\x22"), std::pair('#', "\\x23")})
    for (auto at = escaped.find(mark); at != std::string::npos; at = escaped.find(mark))
      escaped.replace(at, 1, code);
  return '"' + escaped + '"';
}

}  // namespace partita::machine
