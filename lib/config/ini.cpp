/// Reads line by line and says of each what is wrong with it. The keys under a section that cannot be read
/// are skipped, for nobody knows whose they are. And the way back: a value with the quotes that it needs.
#include "partita/config/ini.hpp"

#include <algorithm>
#include <optional>
#include <sstream>

#include "partita/base/text.hpp"

namespace partita::config {
namespace {

using base::Violation;

constexpr std::string_view blanks = " \t", comment_marks = "#;", quotes = "\"'";

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

/// `text` up to its comment; a mark in front is one where `at_blank`.
std::string_view without_comment(std::string_view text, bool at_blank) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (is_one_of(text[i], comment_marks) && (i == 0 ? at_blank : is_one_of(text[i - 1], blanks)))
      return text.substr(0, i);
  return text;
}

/// Spaces that are none to this reader: word processors, web pages and mail bring them along unseen.
struct ForeignSpace {
  std::string_view bytes;
  const char* name;
};
constexpr ForeignSpace foreign_spaces[] = {
    {"\u00A0", "a no-break space (U+00A0)"},
    {"\u1680", "an Ogham space mark (U+1680)"},
    {"\u2000", "an en quad (U+2000)"},
    {"\u2001", "an em quad (U+2001)"},
    {"\u2002", "an en space (U+2002)"},
    {"\u2003", "an em space (U+2003)"},
    {"\u2004", "a third of an em space (U+2004)"},
    {"\u2005", "a quarter of an em space (U+2005)"},
    {"\u2006", "a sixth of an em space (U+2006)"},
    {"\u2007", "a figure space (U+2007)"},
    {"\u2008", "a punctuation space (U+2008)"},
    {"\u2009", "a thin space (U+2009)"},
    {"\u200A", "a hair space (U+200A)"},
    {"\u200B", "a zero-width space (U+200B)"},
    {"\u2028", "a line separator (U+2028)"},
    {"\u2029", "a paragraph separator (U+2029)"},
    {"\u202F", "a narrow no-break space (U+202F)"},
    {"\u205F", "a mathematical space (U+205F)"},
    {"\u3000", "an ideographic space (U+3000)"},
    {"\uFEFF", "a byte-order mark (U+FEFF)"},
};

struct FoundSpace {
  std::size_t at = std::string_view::npos;
  const char* name = "";
};

FoundSpace first_foreign_space(std::string_view text) {
  FoundSpace first;
  for (const auto& space : foreign_spaces)
    if (const auto at = text.find(space.bytes); at < first.at) first = {at, space.name};
  return first;
}

/// Characters of UTF-8, not bytes.
std::ptrdiff_t width_of(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

/// Reads the lines of one file.
class Reader {
 public:
  Reader(const std::string& where, std::vector<Violation>& violations)
      : where_(where), violations_(violations) {}

  void read(const std::string& line) {
    ++number_;
    const auto text = trimmed(without_comment(line, true));
    if (text.empty()) return;
    if (text.front() == '[') return open_section(text, line);
    const auto equals = std::min(line.find('='), line.size());
    const auto key = trimmed(std::string_view(line).substr(0, equals));
    if (refuses_space(key, line)) return;
    if (text.find('=') == std::string_view::npos || key.empty())
      return refuse(line, "is neither [section] nor key = value");
    if (lost_) return;
    if (std::any_of(key.begin(), key.end(), [](char c) { return c < ' ' || c > '~'; }))
      return refuse(line, "has a key with characters that no key has");
    if (const auto value = value_of(std::string_view(line).substr(equals + 1), line))
      ini_.assignments.push_back({.key = section_ + std::string(key), .value = *value, .line = number_});
  }
  Ini take() { return std::move(ini_); }

 private:
  void refuse(const std::string& line, const std::string& message) {
    violations_.push_back({where_ + ", line " + std::to_string(number_), line, message});
    ini_.whole = false;
  }

  /// Of a part of `line` outside of quotes and comments.
  bool refuses_space(std::string_view part, const std::string& line) {
    const auto space = first_foreign_space(part);
    if (space.at == std::string_view::npos) return false;
    const auto before = static_cast<std::size_t>(part.data() - line.data()) + space.at;
    refuse(line, std::string("has ") + space.name + " in column " +
                     std::to_string(1 + width_of(std::string_view(line).substr(0, before))) +
                     "; put a plain one there, or the value in quotes where that belongs to it");
    return true;
  }

  /// Under a header that cannot be read, keys would be blamed for the wrong section.
  void open_section(std::string_view text, const std::string& line) {
    const auto end = std::min(text.find(']'), text.size() - 1);
    const auto rest = trimmed(text.substr(end + 1));
    const auto name = trimmed(text.substr(1, end - 1));
    lost_ = text[end] != ']' || name.empty() || name.find('[') != std::string_view::npos ||
            !(rest.empty() || is_one_of(rest.front(), comment_marks));
    if (refuses_space(text, line))
      lost_ = true;
    else if (lost_)
      refuse(line, "is neither [section] nor key = value");
    section_ = std::string(name) + ".";
  }

  /// Of what stands behind "=".
  std::optional<std::string> value_of(std::string_view text, const std::string& line) {
    const auto begin = std::min(text.find_first_not_of(blanks), text.size());
    const bool quoted = begin < text.size() && is_one_of(text[begin], quotes);
    if (!quoted) {
      const auto value = trimmed(without_comment(text.substr(begin), begin > 0));
      return refuses_space(value, line) ? std::nullopt : std::optional<std::string>(value);
    }
    const auto end = text.find(text[begin], begin + 1);
    if (end == std::string_view::npos)
      return refuse(line, "has a quote that does not end; a value in quotes is what stands between them"),
             std::nullopt;
    const auto rest = trimmed(without_comment(text.substr(end + 1), false));
    if (refuses_space(rest, line)) return std::nullopt;
    if (!rest.empty())
      return refuse(line, "goes on after its closing quote; put the whole value in quotes, or none of it"),
             std::nullopt;
    return std::string(text.substr(begin + 1, end - begin - 1));
  }

  const std::string& where_;
  std::vector<Violation>& violations_;
  Ini ini_;
  std::string section_;
  bool lost_ = false;
  int number_ = 0;
};

bool needs_quotes(std::string_view value) {
  return trimmed(value).size() != value.size() || without_comment(value, true).size() != value.size() ||
         first_foreign_space(value).at != std::string_view::npos ||
         (!value.empty() && is_one_of(value.front(), quotes));
}

Ini read_lines(const base::Text& content, const Violation& refused, const std::string& where,
               std::vector<Violation>& violations) {
  if (!content.wrong.empty()) {
    violations.push_back({refused.key, refused.value, content.wrong});
    return {.assignments = {}, .whole = false};
  }
  Reader reader(where, violations);
  std::istringstream lines(content.text);
  for (std::string line; std::getline(lines, line);)
    reader.read(line);
  return reader.take();
}

}  // namespace

Ini parse_ini(std::string_view bytes, const std::string& where, std::vector<Violation>& violations) {
  return read_lines(base::plain_text(bytes), {where, "", ""}, where, violations);
}

Ini read_ini(const std::filesystem::path& path, const std::string& option,
             std::vector<Violation>& violations) {
  constexpr std::size_t largest = 1 << 20;  // far more than any such file holds
  return read_lines(base::read_text(path, largest), {option, path.string(), ""}, path.string(), violations);
}

bool fits_ini(std::string_view value) {
  return value.find_first_of("\n\r") == std::string_view::npos &&
         !(needs_quotes(value) && value.find('"') != std::string_view::npos &&
           value.find('\'') != std::string_view::npos);
}

std::string ini_value(const std::string& value) {
  if (!needs_quotes(value)) return value;
  const char quote = value.find('"') == std::string::npos ? '"' : '\'';
  return quote + value + quote;
}

}  // namespace partita::config
