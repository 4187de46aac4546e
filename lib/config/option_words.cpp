/// Parts a command line at the words that begin with "--": what follows one, up to the next, is that
/// option's.
#include "partita/config/option_words.hpp"

#include <string_view>

namespace partita::config {

std::optional<std::string> OptionWords::take_value() {
  if (value || words.empty()) return value;
  auto taken = std::move(words.front());
  words.erase(words.begin());
  return taken;
}

std::vector<OptionWords> split_by_option(const std::vector<std::string>& words) {
  constexpr std::string_view dashes = "--";
  std::vector<OptionWords> options;
  for (const auto& word : words) {
    if (!word.starts_with(dashes)) {
      if (options.empty()) options.push_back({.name = "", .value = std::nullopt, .is_option = false});
      options.back().words.push_back(word);
      continue;
    }
    const auto text = word.substr(dashes.size());
    const auto equals = text.find('=');
    options.push_back(
        {.name = text.substr(0, equals),
         .value = equals == std::string::npos ? std::nullopt : std::optional(text.substr(equals + 1))});
  }
  return options;
}

}  // namespace partita::config
