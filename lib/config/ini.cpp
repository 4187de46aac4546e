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
    const auto equals = line.find('=');
    const auto key = trimmed(std::string_view(line).substr(0, equals));
    if (text.find('=') == std::string_view::npos || key.empty())
      return refuse(line, "is neither [section] nor key = value");
    if (lost_) return;
    if (std::any_of(key.begin(), key.end(), [](char c) { return c < ' ' || c > '~'; }))
      return refuse(line, "has a key with characters that no key has (a no-break space?)");
    if (const auto value = value_of(std::string_view(line).substr(equals + 1), line))
      ini_.assignments.push_back({.key = section_ + std::string(key), .value = *value, .line = number_});
  }
  Ini take() { return std::move(ini_); }

 private:
  void refuse(const std::string& line, const std::string& message) {
    violations_.push_back({where_ + ", line " + std::to_string(number_), line, message});
    ini_.whole = false;
  }

  /// Under a header that cannot be read, keys would be blamed for the wrong section.
  void open_section(std::string_view text, const std::string& line) {
    const auto end = std::min(text.find(']'), text.size() - 1);
    const auto rest = trimmed(text.substr(end + 1));
    const auto name = trimmed(text.substr(1, end - 1));
    lost_ = text[end] != ']' || name.empty() || name.find('[') != std::string_view::npos ||
            !(rest.empty() || is_one_of(rest.front(), comment_marks));
    if (lost_) refuse(line, "is neither [section] nor key = value");
    section_ = std::string(name) + ".";
  }

  /// Of what stands behind "=".
  std::optional<std::string> value_of(std::string_view text, const std::string& line) {
    const auto begin = std::min(text.find_first_not_of(blanks), text.size());
    const bool quoted = begin < text.size() && is_one_of(text[begin], quotes);
    if (!quoted) return std::string(trimmed(without_comment(text.substr(begin), begin > 0)));
    const auto end = text.find(text[begin], begin + 1);
    if (end == std::string_view::npos)
      return refuse(line, "has a quote that does not end; a value in quotes is what stands between them"),
             std::nullopt;
    const auto rest = text.substr(end + 1);
    if (!trimmed(without_comment(rest, false)).empty())
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
