/// Files of statements, one a line, where '#' begins a comment: tables of algorithms and machine files.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::base {

/// A line that says something, without its comment.
struct Line {
  int number = 0;  ///< from 1
  std::string text;
};
std::vector<Line> lines_of(std::string_view text);

/// Words "name=value" by name; `twice` becomes the name of a value that comes again.
std::map<std::string, std::string> values_of(std::string_view words, std::string& twice);

/// What is wrong with a line, by its number.
Violation wrong_line(const Line&, const std::string& why);

/// Hands the text of a file to `parse`, whose violations get the file's name. A file that cannot be read is a
/// violation of the option that names it. At most 16 MiB: a machine that was measured
/// has thousands of lines. Whether nothing is wrong.
bool read_lines(const std::filesystem::path&, const std::string& option, std::vector<Violation>& violations,
                const std::function<void(std::string_view text)>& parse);

}  // namespace partita::base
