/// Groups of runs for tests of comparisons.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

#include "partita/results/comparison.hpp"
#include "sample_record.hpp"

namespace partita::results::test {

/// `runs` runs whose step times are `seconds`, `seconds` + 1 µs, …
inline RunGroup group(const std::string& name, std::size_t runs, double seconds = 0.002,
                      std::int64_t steps = 45) {
  RunGroup g{.name = name, .runs = {}};
  for (std::size_t i = 0; i < runs; ++i) {
    auto record = sample_record(steps);
    for (auto& s : record.steps.seconds)
      s = seconds + 1e-6 * static_cast<double>(i);
    record.benchmarks.clear();
    record.inference = {};
    g.runs.push_back({.path = name + std::to_string(i) + ".h5", .record = record});
  }
  return g;
}

inline const ComparedMetric& row(const std::vector<ComparedMetric>& rows, std::string_view name) {
  const auto found = std::ranges::find(rows, name, &ComparedMetric::name);
  if (found == rows.end()) throw std::out_of_range(std::string(name));
  return *found;
}

inline std::vector<std::string> keys_of(const std::vector<base::Violation>& violations) {
  std::vector<std::string> keys;
  for (const auto& v : violations)
    keys.push_back(v.key);
  return keys;
}

}  // namespace partita::results::test
