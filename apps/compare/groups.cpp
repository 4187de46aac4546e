/// What a word on the command line names: a file that exists is meant as it is written; else a backslash
/// takes their meaning from `,` `=` `*` `?` `[`, and files that match a pattern come in natural order.
#include "groups.hpp"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <string_view>

#include "partita/base/paths.hpp"

namespace partita::compare {
namespace {

using Violations = std::vector<base::Violation>;

/// The first of `characters` from `begin` on that no backslash precedes, or the text's end.
std::size_t find_plain(const std::string& text, std::string_view characters, std::size_t begin) {
  for (auto i = begin; i < text.size(); ++i) {
    if (characters.find(text[i]) != std::string_view::npos) return i;
    if (text[i] == '\\') ++i;
  }
  return text.size();
}

std::string without_backslashes(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

/// run-2 before run-10: digits that follow each other are one number.
bool precedes(const std::string& a, const std::string& b) {
  std::size_t i = 0, j = 0;
  const auto number = [](const std::string& text, std::size_t& at) {
    while (at < text.size() && text[at] == '0')
      ++at;
    const auto begin = at;
    while (at < text.size() && is_digit(text[at]))
      ++at;
    return text.substr(begin, at - begin);
  };
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const auto x = number(a, i), y = number(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else if (a[i] != b[j]) {
      return a[i] < b[j];
    } else {
      ++i, ++j;
    }
  }
  const bool a_ends = i == a.size(), b_ends = j == b.size();
  return a_ends && b_ends ? a < b : a_ends;
}

/// The files that match, in natural order.
std::vector<std::string> matches(const std::string& pattern, Violations& violations) {
  glob_t found{};
  const int failure = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> files;
  if (failure == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  std::ranges::sort(files, precedes);
  if (files.empty()) violations.push_back({pattern, "", "matches no file"});
  return files;
}

/// What one part of a list names.
std::vector<std::string> files_of(const std::string& part, Violations& violations) {
  if (base::exists(part)) return {part};
  if (find_plain(part, "*?[", 0) < part.size()) return matches(part, violations);
  return {without_backslashes(part)};
}

}  // namespace

GroupArgument group_of(const std::string& text, Violations& violations) {
  const auto equals = find_plain(text, "=", 0);
  if (base::exists(text)) return {.name = text, .files = {text}};
  if (equals == text.size()) {
    const auto file = without_backslashes(text);
    return {.name = file, .files = {file}};
  }
  const auto known = violations.size();
  GroupArgument group{.name = without_backslashes(text.substr(0, equals)), .files = {}};
  const auto list = text.substr(equals + 1);
  for (std::size_t begin = 0; begin < list.size();) {
    const auto end = base::exists(list) ? list.size() : find_plain(list, ",", begin);
    if (end > begin)
      for (auto& file : files_of(list.substr(begin, end - begin), violations))
        group.files.push_back(std::move(file));
    begin = end + 1;
  }
  if (group.name.empty() || (group.files.empty() && violations.size() == known))
    violations.push_back({text, "", "a group is NAME=FILE,FILE,… or NAME=PATTERN"});
  return group;
}

void shorten_names(std::vector<GroupArgument>& groups) {
  const auto stem = [](const GroupArgument& group) {
    return std::filesystem::path(group.name).stem().string();
  };
  std::set<std::string> stems;
  for (const auto& group : groups)
    stems.insert(stem(group));
  if (stems.size() != groups.size()) return;
  for (auto& group : groups)
    if (group.files.front() == group.name) group.name = stem(group);
}

}  // namespace partita::compare
