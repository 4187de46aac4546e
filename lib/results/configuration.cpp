#include "partita/results/configuration.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

namespace partita::results {
namespace {

/// A name that ends in a dot stands for its whole section.
constexpr std::array<std::string_view, 7> not_compared{"train.seed", "output",    "save-model", "checkpoint.",
                                                       "snapshot.",  "watchdog.", "timeline."};

bool is_compared(std::string_view key) {
  return std::ranges::none_of(
      not_compared, [&](auto name) { return name.ends_with('.') ? key.starts_with(name) : key == name; });
}

}  // namespace

std::map<std::string, std::string> configuration_of(const RunRecord& record) {
  std::map<std::string, std::string> values;
  std::istringstream lines(record.attributes.config);
  std::string section;
  int layers = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1) + ".";
    const auto equals = line.find(" = ");
    if (line.starts_with('[') || line.starts_with('#') || equals == std::string::npos) continue;
    auto key = section + line.substr(0, equals);
    if (key == "model.layer") key += " " + std::to_string(++layers);
    values[key] = line.substr(equals + 3);
  }
  return values;
}

std::vector<Difference> configuration_differences(const RunRecord& before, const RunRecord& after) {
  const auto a = configuration_of(before), b = configuration_of(after);
  auto keys = a;
  keys.insert(b.begin(), b.end());
  const auto value = [](const auto& values, const std::string& key) {
    const auto found = values.find(key);
    return found == values.end() ? std::string("-") : found->second;
  };
  std::vector<Difference> differences;
  for (const auto& [key, unused] : keys)
    if (is_compared(key) && value(a, key) != value(b, key))
      differences.push_back({key, value(a, key), value(b, key)});
  return differences;
}

}  // namespace partita::results
