/// Cuts a text into the lines that count, and puts the name of a file before what is wrong with them.
#include "partita/base/line_file.hpp"

#include <algorithm>
#include <sstream>

#include "partita/base/text.hpp"

namespace partita::base {

std::vector<Line> lines_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<Line> lines;
  Line line;
  while (std::getline(stream, line.text)) {
    ++line.number;
    line.text = line.text.substr(0, line.text.find('#'));
    if (line.text.find_first_not_of(" \t\r") != std::string::npos) lines.push_back(line);
  }
  return lines;
}

std::map<std::string, std::string> values_of(std::string_view words, std::string& twice) {
  std::map<std::string, std::string> values;
  std::istringstream stream{std::string(words)};
  for (std::string word; stream >> word;) {
    const auto equals = std::min(word.find('='), word.size());
    const auto name = word.substr(0, equals);
    if (!values.emplace(name, word.substr(std::min(equals + 1, word.size()))).second) twice = name;
  }
  return values;
}

Violation wrong_line(const Line& line, const std::string& why) {
  return {"line " + std::to_string(line.number), line.text, why};
}

bool read_lines(const std::filesystem::path& path, const std::string& option,
                std::vector<Violation>& violations, const std::function<void(std::string_view text)>& parse) {
  const auto before = violations.size();
  const auto content = read_file_text(path, 16 << 20);
  if (!content.wrong.empty()) {
    violations.push_back({option, path.string(), content.wrong});
    return false;
  }
  parse(content.text);
  for (auto i = before; i < violations.size(); ++i)
    violations[i].key = path.string() + ", " + violations[i].key;
  return violations.size() == before;
}

}  // namespace partita::base
