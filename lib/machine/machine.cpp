/// The shipped machine, machines from files, and machines as text.
#include "partita/machine/machine.hpp"

#include <algorithm>

#include "grammar.hpp"
#include "parser.hpp"
#include "partita/base/digest.hpp"
#include "shipped_machine.hpp"

namespace partita::machine {
namespace {

/// A statement's line; empty where none of its values is said.
std::string line_of(const Statement& statement, const Fields& fields) {
  std::string values;
  for (const auto& field : fields)
    if (const auto text = text_of(field); !text.empty()) values += " " + std::string(field.name) + "=" + text;
  if (values.empty()) return {};
  const std::string level = statement.level.empty() ? "" : " level=" + std::string(statement.level);
  return std::string(statement.word) + level + values + "\n";
}

/// The lines of a statement, without those that say what holds without them.
std::string lines_of(const Statement& statement, File& file) {
  std::string text;
  for (std::size_t i = 0; i < statement.lines(file); ++i)
    text += line_of(statement, statement.fields(file, i));
  if (statement.append != nullptr || statement.must_be_given) return text;
  File nothing;
  return text == line_of(statement, statement.fields(nothing, 0)) ? "" : text;
}

/// What a machine says of its ranks, behind the line that says which they are.
std::string text_of(const Part& part) {
  File file;
  file.ranks.push_back({.first = part.first, .last = part.last, .name = part.name, .file = {}});
  auto text = lines_of(ranks_statement(), file);
  file = file_of(part.machine);
  for (const auto& statement : statements())
    if (is_of_rank(statement)) text += lines_of(statement, file);
  return text;
}

}  // namespace

const Machine& Machine::shipped() {
  static const Machine machine = [] {
    std::vector<base::Violation> violations;
    auto parsed = parse(shipped_machine, violations);
    base::expect(violations.empty(), "the shipped machine is sound", violations.size());
    return parsed;
  }();
  return machine;
}

Machine Machine::parse(std::string_view text, std::vector<base::Violation>& violations,
                       const std::optional<std::filesystem::path>& folder) {
  return Parser(violations, Parser::Scope::job, folder).parse(text);
}

Machine Machine::read(const std::filesystem::path& path, const std::string& option,
                      std::vector<base::Violation>& violations) {
  Machine machine;
  const bool sound = base::read_lines(path, option, violations, [&](std::string_view text) {
    machine = parse(text, violations, path.parent_path());
  });
  return sound ? machine : shipped();
}

std::string Machine::to_text() const {
  auto file = file_of(*this);
  std::string text;
  bool is_of_figures = true;  // of one rank and one link, as before there were versions
  for (const auto& statement : statements()) {
    const auto lines = lines_of(statement, file);
    const bool is_figure = statement.must_be_given || (statement.level == "cache");
    is_of_figures = is_of_figures && (is_figure || lines.empty());
    text += lines;
  }
  for (const auto& part : parts)
    text += text_of(part);
  return is_of_figures && parts.empty() ? text : "version schema=" + std::to_string(schema) + "\n" + text;
}

std::string Machine::optional_text() const {
  auto file = file_of(*this);
  std::string text;
  for (const auto& statement : statements())
    if (!statement.must_be_given && statement.word != "version" && statement.word != "provenance")
      text += lines_of(statement, file);
  return text;
}

std::string Machine::hash() const {
  if (parts.empty()) return base::Sha256().update(to_text()).hex();
  auto nameless = *this;
  for (auto& part : nameless.parts)
    part.name.clear();
  return base::Sha256().update(nameless.to_text()).hex();
}

std::vector<base::Violation> check_ranks(const Machine& machine, std::int64_t ranks) {
  if (machine.levels.empty() || ranks <= machine.levels.back().ranks) return {};
  const auto& outermost = machine.levels.back();
  return {{"ranks", std::to_string(ranks),
           "is more than the machine holds: its level " + outermost.name + " has " +
               std::to_string(outermost.ranks) + ", which is the nearest"}};
}

}  // namespace partita::machine
