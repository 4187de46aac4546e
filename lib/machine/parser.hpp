/// Reads the lines of a machine file.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar.hpp"
#include "partita/base/line_file.hpp"
#include "words.hpp"

namespace partita::machine {

class Parser {
 public:
  /// What is read: the machine of a job; a whole machine, of which single ranks are; what is said of them.
  enum class Scope { job, file_of_ranks, ranks };

  /// Files that lines name lie in `folder`.
  Parser(std::vector<base::Violation>& violations, Scope scope,
         std::optional<std::filesystem::path> folder = {})
      : violations_(violations), scope_(scope), folder_(std::move(folder)) {}
  Machine parse(std::string_view text) { return parse(base::lines_of(text)); }

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
  Machine parse(const std::vector<base::Line>&);
  /// Lines behind `ranks` without a file are of those ranks.
  void take_all(const std::vector<base::Line>&);
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
  void check_ranges();
  /// Of all `ranks` lines, by their ranks.
  std::vector<Part> read_parts();
  /// The machine of a `ranks` line: from the lines behind it; from its file.
  Machine read_behind(const base::Line&);
  Machine read_file(const base::Line&, const std::string& file);
  /// Messages to their levels, rows in their order.
  Machine assemble();

  std::vector<base::Violation>& violations_;
  Scope scope_;
  std::optional<std::filesystem::path> folder_;
  File file_;
  std::map<std::string_view, std::vector<Read>> read_;  ///< by the word of the statement
  std::map<std::string, int> seen_;                     ///< the number of the line that has it
  std::map<int, std::vector<base::Line>> behind_;  ///< what stands behind `ranks`, by the number of its line
};

}  // namespace partita::machine
