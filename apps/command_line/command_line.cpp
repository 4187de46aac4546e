/// Splits, takes and reads words of a command line; options are never guessed from their first letters.
#include "command_line/command_line.hpp"

#include <algorithm>
#include <charconv>

namespace partita::command_line {

Words words_of(int argc, const char* const* argv) { return {argv + 1, argv + std::max(argc, 1)}; }

Words take_words(Words& words, const std::string& prefix) {
  const auto taken = std::stable_partition(
      words.begin(), words.end(), [&](const std::string& word) { return !word.starts_with(prefix); });
  Words result(taken, words.end());
  words.erase(taken, words.end());
  return result;
}

po::variables_map parse(const Words& words, const po::options_description& options,
                        const std::string& positional, int most) {
  po::options_description all;
  all.add(options);
  po::positional_options_description positions;
  if (!positional.empty()) {
    all.add_options()(positional.c_str(), po::value<Words>());
    positions.add(positional.c_str(), most);
  }
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::variables_map values;
  try {
    po::store(po::command_line_parser(words).options(all).positional(positions).style(style).run(), values);
  } catch (const po::error& wrong) {
    throw base::ConfigError({{"command line", "", wrong.what()}});
  }
  return values;
}

Words words_of(const po::variables_map& values, const std::string& key) {
  return values.count(key) > 0 ? values[key].as<Words>() : Words{};
}

std::string value_of(const Words& words, const std::string& name) {
  const std::string begin = "--" + name + "=";
  std::string value;
  for (const auto& word : words)
    if (word.starts_with(begin)) value = word.substr(begin.size());
  return value;
}

std::string text_of(const po::variables_map& values, const std::string& key) {
  return values.count(key) > 0 ? values[key].as<std::string>() : std::string();
}

std::optional<std::int64_t> whole_number(const std::string& key, const std::string& text, std::int64_t least,
                                         std::int64_t most, std::vector<base::Violation>& violations) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value >= least && value <= most)
    return value;
  violations.push_back(
      {key, text, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most)});
  return std::nullopt;
}

}  // namespace partita::command_line
