/// The words of a command line, option by option, so that a bad one hides no other.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace partita::config {

/// "--name=value", or "--name", with the words up to the next one that begins with "--".
struct OptionWords {
  std::string name;                  ///< empty: of the words before the first option
  std::optional<std::string> value;  ///< behind the "=", which may be nothing: "--name=" gives an empty text
  std::vector<std::string> words = {};

  /// The value of an option that has one: behind its "=", else the first of the words, which is taken.
  std::optional<std::string> take_value();
};

std::vector<OptionWords> split_by_option(const std::vector<std::string>& words);

}  // namespace partita::config
