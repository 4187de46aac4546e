/// Reads and checks the names line by line; they are printed and stored as they are, so control characters
/// and what is not UTF-8 are refused.
#include "partita/data/class_names.hpp"

#include <algorithm>
#include <string_view>
#include <system_error>

#include "file_bytes.hpp"
#include "partita/data/dataset.hpp"

namespace partita::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_name = 200;

/// Bytes of the UTF-8 character that `text` begins with; 0: none does, or it is not in its shortest form.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const auto first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const auto second = byte(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool beyond = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
  return overlong || beyond ? 0 : length;
}

/// What is wrong with a name, or nothing.
Complaint check_name(std::string_view name) {
  if (name.find_first_not_of(' ') == std::string_view::npos) return "is blank";
  if (name.size() > longest_name)
    return "holds " + std::to_string(name.size()) + " bytes, at most " + std::to_string(longest_name) +
           " make a name";
  for (std::size_t at = 0; at < name.size();) {
    const auto c = static_cast<std::uint8_t>(name[at]);
    if (c < 0x20 || c == 0x7f) return "holds a control character";
    const auto length = character_length(name.substr(at));
    if (length == 0) return "is not UTF-8";
    at += length;
  }
  return std::nullopt;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (text.starts_with("\xef\xbb\xbf"))
    text.remove_prefix(3);
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!lines.empty() && lines.back().empty())
    lines.pop_back();
  return lines;
}

}  // namespace

std::optional<std::vector<std::string>> parse_class_names(std::span<const std::uint8_t> text,
                                                          const std::string& place,
                                                          std::vector<base::Violation>& violations) {
  const auto refuse = [&](std::string why) -> std::optional<std::vector<std::string>> {
    violations.push_back({.key = place, .value = "", .message = std::move(why)});
    return std::nullopt;
  };
  const auto lines = lines_of({reinterpret_cast<const char*>(text.data()), text.size()});
  if (lines.empty()) return refuse("names no class");
  if (lines.size() > static_cast<std::size_t>(most_classes))
    return refuse("has " + std::to_string(lines.size()) + " lines, at most " + std::to_string(most_classes) +
                  " classes can be named");
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (const auto wrong = check_name(lines[i]))
      return refuse("line " + std::to_string(i + 1) + " " + *wrong);
  return std::vector<std::string>(lines.begin(), lines.end());
}

std::vector<std::string> read_class_names(const fs::path& folder, std::vector<base::Violation>& violations) {
  const auto path = folder / class_names_file;
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(path, ignored))) return {};
  std::vector<std::uint8_t> text;
  if (const auto wrong = read_whole(path, text)) {
    violations.push_back({.key = path.string(), .value = "", .message = *wrong});
    return {};
  }
  return parse_class_names(text, path.string(), violations).value_or(std::vector<std::string>{});
}

void write_class_names(const fs::path& folder, std::span<const std::string> names) {
  std::vector<std::uint8_t> text;
  for (const auto& name : names) {
    text.insert(text.end(), name.begin(), name.end());
    text.push_back('\n');
  }
  write_whole(folder / class_names_file, text);
}

}  // namespace partita::data
