/// The words of a command line, option by option, so that a bad one hides no other.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace partita::config {

/// "--name=value", or "--name", with the words up to the next one that begins with "--".
struct OptionWords {
  std::string name;                  ///< empty where no name follows the dashes: "--", "--=value"
  std::optional<std::string> value;  ///< behind the "=", which may be nothing: "--name=" gives an empty text
  std::vector<std::string> words = {};
  bool is_option = true;  ///< false: the words before the first option

  /// The value of an option that has one: behind its "=", else the first of the words, which is taken.
  std::optional<std::string> take_value();
};

/// What is wrong with dashes that no name follows, where a lone "--" has nothing to part from options.
constexpr std::string_view nameless = "is no option: a name follows the dashes, as in --config=FILE";

std::vector<OptionWords> split_by_option(const std::vector<std::string>& words);

}  // namespace partita::config
