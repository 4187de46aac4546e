/// Reads the sweep's own keys, those that vary and those of the run, from file and command line, and refuses
/// what would make configurations write to one place.
#include "options.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"
#include "partita/config/ini.hpp"
#include "partita/config/option_words.hpp"
#include "partita/config/options.hpp"
#include "switches.hpp"
#include "values.hpp"

namespace partita::sweep {
namespace {

using base::Violation;
using Violations = std::vector<Violation>;

/// Keys of the sweep itself, in a file and on the command line.
constexpr std::string_view own_keys[] = {"output", "sweep.ranks", "sweep.combine", "sweep.seeds",
                                         "sweep.save-models"};
/// Keys of a run that name one file or one screen for all configurations.
constexpr std::string_view refused_keys[] = {"save-model", "print-program", "checkpoint.dir", "model.layer"};

/// A key of the file or the command line with its value, in order.
using Given = Assignments;

void refuse_unknown(const std::string& name, const std::string& value, const std::string& where, bool in_file,
                    Violations& violations) {
  const bool varied = name.starts_with("vary.");
  std::vector<std::string_view> others;
  if (!varied) others.assign(std::begin(own_keys), std::end(own_keys));
  if (!varied) others.insert(others.end(), {"config", "shard"});
  if (!varied && !in_file)
    for (const auto& s : switches)
      others.emplace_back(s.name);
  violations.push_back({name, value, config::unknown_key(varied ? name.substr(5) : name, others, where)});
}

bool is_known(const std::string& name) {
  const std::string key = name.starts_with("vary.") ? name.substr(5) : name;
  if (config::run_keys().contains(key)) return true;
  return name == "config" || std::find(std::begin(own_keys), std::end(own_keys), name) != std::end(own_keys);
}

Given read_file(const std::filesystem::path& path, Violations& violations) {
  Given given;
  for (const auto& [key, value, line] : config::read_ini(path, "config", violations).assignments) {
    given.emplace_back(key, value);
    if (!is_known(key)) refuse_unknown(key, value, path.string(), true, violations);
  }
  return given;
}

bool takes_value(const std::string& name) { return name == "shard" || is_known(name); }

Given read_command_line(const std::vector<std::string>& words, Options& options, Violations& violations) {
  Given given;
  for (auto& option : config::split_by_option(words)) {
    const auto* const known = std::ranges::find(switches, option.name, &Switch::name);
    if (known != std::end(switches)) {
      options.*(known->member) = true;
      if (option.value) violations.push_back({option.name, *option.value, "takes no value"});
    } else if (option.name.empty()) {
      if (option.is_option)
        violations.push_back({"--", option.value.value_or(""), std::string(config::nameless)});
    } else if (const auto value = option.take_value(); takes_value(option.name)) {
      if (value) given.emplace_back(option.name, *value);
      if (!value) violations.push_back({option.name, "", "needs a value: --" + option.name + "=VALUE"});
    } else {
      refuse_unknown(option.name, value.value_or(""), "", false, violations);
    }
    for (const auto& word : option.words)
      violations.push_back({word, "", "is not an option; options begin with --"});
  }
  return given;
}

void refuse_twice(const Given& given, const std::string& where, Violations& violations) {
  std::map<std::string, int> times;
  for (const auto& [key, value] : given)
    if (++times[key] == 2) violations.push_back({key, value, "is given twice" + where});
}

/// The file's keys, each with the command line's value where it has one, then what only that has.
Given overlay(Given file, const Given& command_line) {
  for (const auto& given : command_line) {
    const auto found =
        std::find_if(file.begin(), file.end(), [&](const auto& pair) { return pair.first == given.first; });
    if (found == file.end())
      file.push_back(given);
    else
      found->second = given.second;
  }
  return file;
}

bool read_whole(const std::string& text, int& value) {
  value = base::number_of<int>(text).value_or(0);
  return value >= 1;
}

void read_own(const std::string& key, const std::string& value, Options& options, Violations& violations) {
  if (key == "output") {
    if (!value.empty()) options.output = value;
  } else if (key == "sweep.ranks") {
    if (!read_whole(value, options.ranks))
      violations.push_back({key, value, "must be a whole number of ranks from 1; the nearest is 1"});
  } else if (key == "sweep.combine") {
    options.combine = value == "zip" ? Combine::zip : Combine::cartesian;
    if (value != "zip" && value != "cartesian")
      violations.push_back(
          {key, value,
           "must be one of cartesian | zip" +
               base::did_you_mean(value, std::array<std::string_view, 2>{"cartesian", "zip"})});
  } else if (key == "sweep.seeds") {
    options.seeds = {.key = "train.seed", .list = value, .values = expand(key, value, violations)};
  } else if (key == "sweep.save-models") {
    options.save_models = value == "true";
    if (value != "true" && value != "false")
      violations.push_back({key, value, "must be true or false" + base::did_you_mean_boolean(value)});
  } else if (key == "shard") {
    const auto slash = value.find('/');
    if (slash == std::string::npos || !read_whole(value.substr(0, slash), options.shard.k) ||
        !read_whole(value.substr(slash + 1), options.shard.n) || options.shard.k > options.shard.n)
      violations.push_back({key, value, "must be k/n with k from 1 to n, such as 1/4"}), options.shard = {};
  }
}

void read_run_key(const std::string& name, const std::string& value, Options& options,
                  Violations& violations) {
  const bool varies = name.starts_with("vary.");
  const std::string key = varies ? name.substr(5) : name;
  if (std::find(std::begin(refused_keys), std::end(refused_keys), key) != std::end(refused_keys) ||
      key == "output")
    violations.push_back(
        {name, value,
         key == "model.layer"  ? "a list of layers does not vary; vary model.file"
         : key == "save-model" ? "would be one file for all configurations; use sweep.save-models = true"
         : key == "print-program"
             ? "belongs to partita-train"
             : "would be one place for all configurations; each has its own in the sweep's output folder"});
  else if (varies)
    options.vary.push_back({.key = key, .list = value, .values = expand(name, value, violations)});
  else
    options.fixed.emplace_back(key, value);
}

/// In a file a path is relative to its folder, as in a run's file.
std::string beside(const std::filesystem::path& file, const std::string& value) {
  return value.empty() ? "" : (file.parent_path() / value).lexically_normal().string();
}

void check_together(const Options& options, Violations& violations) {
  std::map<std::string, int> times;
  for (const auto& varied : options.vary)
    ++times[varied.key];
  if (options.seeds && times.contains("train.seed"))
    violations.push_back({"sweep.seeds", options.seeds->list,
                          "excludes vary.train.seed: the seed varies or repeats, not both"});
  for (const auto& [key, value] : options.fixed)
    if (times.contains(key) || (options.seeds && key == "train.seed"))
      violations.push_back({key, value, "is fixed and varies; give vary." + key + " or remove one"});
  if (options.combine == Combine::zip)
    for (const auto& varied : options.vary)
      if (varied.values.size() != options.vary.front().values.size() && !varied.values.empty() &&
          !options.vary.front().values.empty())
        violations.push_back({"vary." + varied.key, varied.list,
                              "has " + std::to_string(varied.values.size()) + " values and vary." +
                                  options.vary.front().key + " " +
                                  std::to_string(options.vary.front().values.size()) +
                                  ": zipped lists have one length"});
  if (options.resume && options.overwrite)
    violations.push_back({"resume", "", "excludes overwrite: finished configurations are kept or replaced"});
}

}  // namespace

Options parse(int argc, const char* const* argv, Violations& violations) {
  Options options;
  const std::vector<std::string> words(argv + 1, argv + std::max(argc, 1));
  auto command_line = read_command_line(words, options, violations);
  if (options.help || options.version) return options;
  refuse_twice(command_line, "", violations);
  const auto named = std::find_if(command_line.begin(), command_line.end(),
                                  [](const auto& k) { return k.first == "config"; });
  if (named == command_line.end() || named->second.empty()) {
    violations.push_back({"config", "", "no sweep given: use --config FILE"});
    return options;
  }
  options.file = named->second;
  command_line.erase(named);
  auto in_file = read_file(options.file, violations);
  refuse_twice(in_file, " in " + options.file.string(), violations);
  for (auto& [key, value] : in_file)
    if (key == "config" || key == "model.file") value = beside(options.file, value);
  if (options.file.extension() == ".ini") options.output = options.file.stem();
  for (const auto& [key, value] : overlay(in_file, command_line)) {
    if (key == "config")
      options.config = value;
    else if (key == "shard" || std::find(std::begin(own_keys), std::end(own_keys), key) != std::end(own_keys))
      read_own(key, value, options, violations);
    else if (is_known(key))
      read_run_key(key, value, options, violations);
  }
  for (auto& varied : options.vary)
    if (varied.key == "model.file" && std::count(in_file.begin(), in_file.end(),
                                                 std::pair(std::string("vary.model.file"), varied.list)) > 0)
      for (auto& value : varied.values)
        value = beside(options.file, value);
  if (options.output.empty())
    violations.push_back({"output", "", "must name a folder: the sweep's file does not end in .ini"});
  check_together(options, violations);
  return options;
}

}  // namespace partita::sweep
