/// What partita-compare shows: an aligned table for people, CSV and JSON for programs.
#pragma once

#include <ostream>
#include <vector>

#include "partita/results/comparison.hpp"

namespace partita::compare {

/// One group against the first.
struct Comparison {
  const results::RunGroup* before = nullptr;
  const results::RunGroup* after = nullptr;
  std::vector<results::ComparedMetric> metrics;
};

/// `color`: verdicts in green and red (ANSI).
void print_table(std::ostream&, const std::vector<Comparison>&, double threshold_percent, bool color);
/// One line a metric and pair of groups; numbers unrounded, empty where there is none.
void print_csv(std::ostream&, const std::vector<Comparison>&);
void print_json(std::ostream&, const std::vector<Comparison>&, double threshold_percent);

}  // namespace partita::compare
