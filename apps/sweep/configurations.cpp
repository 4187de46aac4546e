/// From lists of values to numbered runs, each read and checked as partita-train would read it. A fault that
/// many share is told once, with their numbers; two runs that are the same are a fault.
#include "configurations.hpp"

#include <algorithm>
#include <map>

#include "partita/command_line/command_line.hpp"
#include "partita/job/training_job.hpp"

namespace partita::sweep {
namespace {

using base::Violation;
using Violations = std::vector<Violation>;

constexpr std::size_t most_configurations = 100000;

/// Every combination of the values of `vary`, the last key fastest; or the i-th values together.
std::vector<Assignments> combine(const Options& options) {
  std::vector<Assignments> all{{}};
  if (options.combine == Combine::zip && !options.vary.empty()) {
    all.assign(options.vary.front().values.size(), {});
    for (const auto& varied : options.vary)
      for (std::size_t i = 0; i < all.size(); ++i)
        all[i].emplace_back(varied.key, varied.values[i]);
    return all;
  }
  for (const auto& varied : options.vary) {
    std::vector<Assignments> longer;
    for (const auto& one : all)
      for (const auto& value : varied.values) {
        longer.push_back(one);
        longer.back().emplace_back(varied.key, value);
      }
    all = std::move(longer);
  }
  return all;
}

std::vector<Assignments> repeat(const std::vector<Assignments>& all, const Varied& seeds) {
  std::vector<Assignments> repeated;
  for (const auto& one : all)
    for (const auto& seed : seeds.values) {
      repeated.push_back(one);
      repeated.back().emplace_back(seeds.key, seed);
    }
  return repeated;
}

/// 0 where the lists are not fit to be combined.
std::size_t count_of(const Options& options) {
  std::size_t count = options.seeds ? options.seeds->values.size() : 1;
  for (std::size_t i = 0; i < options.vary.size(); ++i) {
    const auto values = options.vary[i].values.size();
    if (values == 0 || (options.combine == Combine::zip && values != options.vary.front().values.size()))
      return 0;
    if (i == 0 || options.combine == Combine::cartesian) count *= values;
    if (count > most_configurations) return count;
  }
  return count;
}

std::string name_of(int number, const char* ending) {
  const std::string digits = std::to_string(number);
  return std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits + ending;
}

Configuration configuration(const Options& options, int number, Assignments varied) {
  Configuration c{
      .number = number, .varied = std::move(varied), .file = options.output / name_of(number, ".h5")};
  c.words = {"partita-train", "--config=" + options.config.string()};
  const auto varies = [&](const std::string& key) {  // refused already, and not again here
    return std::any_of(c.varied.begin(), c.varied.end(), [&](const auto& v) { return v.first == key; });
  };
  for (const auto& [key, value] : options.fixed)
    if (!varies(key)) c.words.push_back("--" + key + "=" + value);
  for (const auto& [key, value] : c.varied)
    c.words.push_back("--" + key + "=" + value);
  c.words.push_back("--output=" + c.file.string());
  if (options.save_models)
    c.words.push_back("--save-model=" + (options.output / name_of(number, ".model.h5")).string());
  return c;
}

/// What two configurations must share to be the same, and to differ in the seed only.
std::string identity(const Configuration& c, bool with_seed) {
  auto options = c.input.options;
  options.output.clear(), options.save_model.clear();
  if (!with_seed) options.train.seed = 0;
  return config::meaning_of(options);
}

/// By which keys a configuration only seems to differ from the `first` that is the same; "" where it does not
/// even seem so.
std::string why_same(const Configuration& c, const Configuration& first) {
  auto mine = c.input.options, its = first.input.options;
  mine.output = its.output, mine.save_model = its.save_model;
  if (config::print_config(mine) == config::print_config(its)) return "";
  std::string names;
  for (std::size_t i = 0; i < c.varied.size(); ++i)
    if (c.varied[i] != first.varied[i]) names += (names.empty() ? "" : ", ") + c.varied[i].first;
  return ": " + names + " has no effect beside the other keys";
}

/// Which configurations have a violation, in the order of its first.
struct Blamed {
  Violation violation;
  std::vector<int> numbers;
};

void blame(std::vector<Blamed>& all, const Violation& violation, int number) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Blamed& b) { return b.violation == violation; });
  if (found == all.end())
    all.push_back({violation, {number}});
  else if (found->numbers.back() != number)
    found->numbers.push_back(number);
}

Violation told(const Blamed& blamed, std::size_t configurations) {
  auto violation = blamed.violation;
  const auto& numbers = blamed.numbers;
  if (numbers.size() == configurations) return violation;
  constexpr std::size_t most_named = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(numbers.size(), most_named); ++i)
    names += (i > 0 ? ", " : "") + std::to_string(numbers[i]);
  if (numbers.size() > most_named) names += " and " + std::to_string(numbers.size() - most_named) + " more";
  violation.message += " (configuration" + std::string(numbers.size() > 1 ? "s " : " ") + names + ")";
  return violation;
}

/// Gives every configuration its group, and blames those that are there already.
void group(std::vector<Configuration>& all, std::vector<Blamed>& blamed) {
  std::map<std::string, int> first, groups;
  for (auto& c : all) {
    if (!c.input.model_is_known) continue;
    const auto [same, is_new] = first.emplace(identity(c, true), c.number);
    if (!is_new)
      blame(blamed,
            {"vary", c.values(),
             "is the same as configuration " + std::to_string(same->second) +
                 why_same(c, all[static_cast<std::size_t>(same->second - 1)])},
            c.number);
    c.group = groups.emplace(identity(c, false), static_cast<int>(groups.size()) + 1).first->second;
  }
}

}  // namespace

std::string Configuration::command_line() const {
  std::vector<const char*> argv;
  for (const auto& word : words)
    argv.push_back(word.c_str());
  return partita::command_line::text_of(static_cast<int>(argv.size()), argv.data());
}

std::string Configuration::values() const {
  std::string text;
  for (const auto& [key, value] : varied)
    text += (text.empty() ? "" : " ") + key + "=" + value;
  return text;
}

bool belongs(const Configuration& c, const Shard& shard) { return (c.number - 1) % shard.n == shard.k - 1; }

std::vector<Configuration> configurations_of(const Options& options, job::DataSets& sets,
                                             Violations& violations) {
  const auto count = count_of(options);
  if (count == 0) return {};
  if (count > most_configurations) {
    violations.push_back(
        {"vary", "", "there are more than " + std::to_string(most_configurations) + " configurations"});
    return {};
  }
  auto assignments = combine(options);
  if (options.seeds) assignments = repeat(assignments, *options.seeds);
  std::vector<Configuration> all;
  std::vector<Blamed> blamed;
  for (auto& varied : assignments) {
    auto& c = all.emplace_back(configuration(options, static_cast<int>(all.size()) + 1, std::move(varied)));
    std::vector<const char*> argv;
    for (const auto& word : c.words)
      argv.push_back(word.c_str());
    c.input = job::read_shared_input(static_cast<int>(argv.size()), argv.data(), options.ranks, sets);
    c.input.options.resume = options.resume;
    c.input.options.overwrite = options.overwrite;
    for (const auto& violation : c.input.violations)
      blame(blamed, violation, c.number);
    if (c.input.model_is_known) c.hash = config::config_hash(c.input.options);
  }
  group(all, blamed);
  for (const auto& one : blamed)
    violations.push_back(told(one, all.size()));
  return all;
}

}  // namespace partita::sweep
