/// Splits, takes and reads words of a command line; options are never guessed from their first letters.
#include "partita/command_line/command_line.hpp"

#include <algorithm>
#include <boost/any.hpp>
#include <utility>

#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"
#include "partita/config/option_words.hpp"

namespace partita::command_line {

std::string text_of(int argc, const char* const* argv) {
  std::string text;
  for (int i = 0; i < argc; ++i)
    text += (i > 0 ? " " : "") + std::string(argv[i]);
  return text;
}

Words words_of(int argc, const char* const* argv) { return {argv + 1, argv + std::max(argc, 1)}; }

Words take_words(Words& words, const std::string& prefix) {
  const auto taken = std::stable_partition(
      words.begin(), words.end(), [&](const std::string& word) { return !word.starts_with(prefix); });
  Words result(taken, words.end());
  words.erase(taken, words.end());
  return result;
}

namespace {

using Violations = std::vector<base::Violation>;

/// "is no option; there are --format, --metric, …; did you mean --format?"
std::string unknown(const std::string& name, const po::options_description& options) {
  std::vector<std::string> names;
  for (const auto& option : options.options())
    names.push_back(option->long_name());
  std::string nearest;
  if (!name.empty())
    nearest = base::nearest_word(name, std::vector<std::string_view>(names.begin(), names.end()));
  std::string list;
  for (const auto& known : names)
    list += (list.empty() ? "--" : ", --") + known;
  return "is no option; there are " + list + (nearest.empty() ? "" : "; did you mean --" + nearest + "?");
}

/// Words with one dash and a letter, such as -h, as the options that they are short for.
Words without_short_names(Words words, const po::options_description& options) {
  for (auto& word : words)
    if (word.starts_with("-") && !word.starts_with("--"))
      if (const auto* const known = options.find_nothrow(word, false)) word = "--" + known->long_name();
  return words;
}

/// An empty value is as if the option were not given, where it may be without one.
bool is_taken_back(const po::option_description& known, const std::string& value) {
  boost::any unused;
  return value.empty() && !known.semantic()->apply_default(unused);
}

void read_option(config::OptionWords& given, const po::option_description& known, po::parsed_options& parsed,
                 Violations& violations) {
  const std::string name = "--" + given.name;
  if (known.semantic()->max_tokens() == 0) {
    if (given.value) violations.push_back({name, *given.value, "takes no value"});
    parsed.options.emplace_back(given.name, Words{});
  } else if (const auto value = given.take_value(); !value) {
    violations.push_back({name, "", "needs a value: " + name + "=VALUE"});
  } else if (!is_taken_back(known, *value)) {
    parsed.options.emplace_back(given.name, Words{*value});
  }
}

/// Takes what stands behind the first "--", which ends the options.
Words take_behind_end(Words& words) {
  const auto end = std::ranges::find(words, "--");
  Words behind(end == words.end() ? end : end + 1, words.end());
  words.erase(end, words.end());
  return behind;
}

/// Words that belong to no option, for which there are `places`; the last `plain` ones may begin with a dash.
void check_free(const Words& free, std::size_t plain, std::size_t places,
                const po::options_description& options, Violations& violations) {
  for (std::size_t i = 0; i < free.size(); ++i)
    if (i + plain < free.size() && free[i].size() > 1 && free[i].front() == '-')
      violations.push_back({free[i], "", unknown(free[i].substr(1), options)});
    else if (i >= places)
      violations.push_back(
          {free[i], "", places == 0 ? "is not an option; options begin with --" : "is one too many"});
}

}  // namespace

po::variables_map parse(Words words, const po::options_description& options, const std::string& positional,
                        int most) {
  po::options_description all;
  all.add(options);
  if (!positional.empty()) all.add_options()(positional.c_str(), po::value<Words>());
  po::parsed_options parsed(&all);
  Violations violations;
  Words free;
  const Words behind = positional.empty() ? Words{} : take_behind_end(words);
  for (auto& given : config::split_by_option(without_short_names(std::move(words), options))) {
    const auto* const known = given.name.empty() ? nullptr : options.find_nothrow(given.name, false);
    if (known)
      read_option(given, *known, parsed, violations);
    else if (given.is_option && given.name.empty())
      violations.push_back({"--", given.value.value_or(""), unknown("", options)});
    else if (given.is_option)
      violations.push_back(
          {"--" + given.name, given.take_value().value_or(""), unknown(given.name, options)});
    free.insert(free.end(), given.words.begin(), given.words.end());
  }
  free.insert(free.end(), behind.begin(), behind.end());
  const auto places = most < 0 ? free.size() : static_cast<std::size_t>(most);
  check_free(free, behind.size(), positional.empty() ? 0 : places, options, violations);
  if (!free.empty()) parsed.options.emplace_back(positional, free);
  po::variables_map values;
  try {
    if (violations.empty()) po::store(parsed, values);
  } catch (const po::error& wrong) {
    violations.push_back({"command line", "", wrong.what()});
  }
  if (!violations.empty()) throw base::ConfigError(violations);
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
  const auto value = base::number_of<std::int64_t>(text);
  if (value && *value >= least && *value <= most) return value;
  violations.push_back(
      {key, text, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most)});
  return std::nullopt;
}

}  // namespace partita::command_line
