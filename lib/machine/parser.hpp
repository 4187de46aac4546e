/// Reads the lines of a machine file.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "grammar.hpp"
#include "partita/base/line_file.hpp"
#include "words.hpp"

namespace partita::machine {

class Parser {
 public:
  explicit Parser(std::vector<base::Violation>& violations) : violations_(violations) {}
  Machine parse(std::string_view text);

 private:
  /// A line that was read, for what only all lines together show.
  struct Read {
    base::Line line;
    std::size_t index = 0;  ///< among the lines of its statement
    bool is_sound = true;
  };

  void refuse(const base::Line& line, const std::string& why) {
    violations_.push_back(base::wrong_line(line, why));
  }
  void take(const base::Line&);
  /// The statement that a line is, with its values besides those that choose it; null and told if none is.
  const Statement* statement_of(const base::Line&, Words&);
  /// Whether all values of a line are there and valid.
  bool read_values(const base::Line&, Words&, const Statement&, std::size_t index);
  /// Refuses a line if an earlier one of its statement has the same of the values that tell them apart.
  bool is_new(const base::Line&, const Statement&, std::size_t index);
  bool is_first(const base::Line&, const std::string& what);

  [[nodiscard]] const std::vector<Read>& lines_of(std::string_view word) { return read_[word]; }
  [[nodiscard]] bool all_sound(std::string_view word);
  void check_schema();
  void check_levels();
  void check_topologies();
  /// Whether a line names this level; else the line is refused.
  bool is_named(const base::Line&, const std::string& level);
  void check_messages();
  void check_windows();
  void check_caches();
  void check_kernels();
  /// Messages to their levels, rows in their order.
  Machine assemble();

  std::vector<base::Violation>& violations_;
  File file_;
  std::map<std::string_view, std::vector<Read>> read_;  ///< by the word of the statement
  std::map<std::string, int> seen_;                     ///< the number of the line that has it
};

}  // namespace partita::machine
