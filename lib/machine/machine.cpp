/// Reads and writes machine files, by the table of statements.
#include "partita/machine/machine.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "grammar.hpp"
#include "partita/base/digest.hpp"
#include "partita/base/line_file.hpp"
#include "partita/base/number.hpp"
#include "shipped_machine.hpp"

namespace partita::machine {
namespace {

using Violations = std::vector<base::Violation>;

std::string all_forms() {
  std::string text;
  for (const auto& statement : statements())
    text += (text.empty() ? "" : " | ") + form_of(statement);
  return text;
}

/// A line, with its word and its values by name.
struct Line : base::Line {
  std::string word;
  std::map<std::string, std::string> values;
};

class Parser {
 public:
  explicit Parser(Violations& violations) : violations_(violations) {}

  Machine parse(std::string_view text) {
    for (const auto& line : base::lines_of(text))
      take({line, {}, {}});
    for (const auto& statement : statements())
      if (statement.must_be_given && !seen_.contains(&statement))
        violations_.push_back({form_of(statement), "", "is missing"});
    return machine_;
  }

 private:
  void refuse(const Line& line, const std::string& why) {
    violations_.push_back(base::wrong_line(line, why));
  }

  void take(Line line) {
    std::istringstream words(line.text);
    std::string values, twice;
    std::getline(words >> line.word, values);
    line.values = base::values_of(values, twice);
    if (!twice.empty()) return refuse(line, "names " + twice + " twice");
    const auto level = line.values.find("level");
    const std::string_view wanted = level == line.values.end() ? std::string_view() : level->second;
    const auto known = std::ranges::find_if(statements(), [&](const Statement& statement) {
      return statement.word == line.word && statement.level == wanted;
    });
    if (known == statements().end() || (level != line.values.end() && wanted.empty()))
      return refuse(line, "is none of: " + all_forms());
    if (!seen_.insert(&*known).second) return refuse(line, "stands a second time");
    if (level != line.values.end()) line.values.erase(level);
    for (const auto& field : known->fields)
      read(line, *known, field);
    for (const auto& [name, value] : line.values)
      refuse(line, "knows no " + name + ": " + form_of(*known));
  }

  /// Takes the field's value out of the line.
  void read(Line& line, const Statement& statement, const Field& field) {
    const auto found = line.values.find(std::string(field.name));
    if (found == line.values.end()) {
      if (field.must_be_given) refuse(line, "has no " + std::string(field.name) + ": " + form_of(statement));
      return;
    }
    const std::string text = found->second;
    line.values.erase(found);
    const auto value = base::number_of<double>(text);
    if (!value || !std::isfinite(*value) || *value < 0 || (field.is_rate() && *value == 0))
      return refuse(line, std::string(field.name) + " must be a number " +
                              (field.is_rate() ? "above 0, such as 10e9" : "from 0, such as 5e-6"));
    machine_.*field.member = *value + 0.0;  // −0 is 0
  }

  Violations& violations_;
  Machine machine_;
  std::set<const Statement*> seen_;
};

}  // namespace

const Machine& Machine::shipped() {
  static const Machine machine = [] {
    Violations violations;
    auto parsed = parse(shipped_machine, violations);
    base::expect(violations.empty(), "the shipped machine is sound", violations.size());
    return parsed;
  }();
  return machine;
}

Machine Machine::parse(std::string_view text, Violations& violations) {
  return Parser(violations).parse(text);
}

Machine Machine::read(const std::filesystem::path& path, const std::string& option, Violations& violations) {
  Machine machine;
  const bool sound = base::read_lines(path, option, violations,
                                      [&](std::string_view text) { machine = parse(text, violations); });
  return sound ? machine : shipped();
}

std::string Machine::to_text() const {
  std::string text;
  for (const auto& statement : statements()) {
    std::string line(statement.word);
    if (!statement.level.empty()) line += " level=" + std::string(statement.level);
    bool has_values = false;
    for (const auto& field : statement.fields) {
      if (std::isinf(this->*field.member)) continue;
      line += " " + std::string(field.name) + "=" + base::shortest(this->*field.member);
      has_values = true;
    }
    if (has_values) text += line + "\n";
  }
  return text;
}

std::string Machine::hash() const { return base::Sha256().update(to_text()).hex(); }

}  // namespace partita::machine
