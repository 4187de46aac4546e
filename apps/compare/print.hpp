/// What partita-compare shows: an aligned table for people, Markdown for reports, CSV and JSON for programs.
#pragma once

#include <ostream>
#include <vector>

#include "partita/results/comparison.hpp"
#include "partita/results/configuration.hpp"
#include "partita/results/reference.hpp"
#include "partita/results/scaling.hpp"

namespace partita::compare {

/// One group against the first.
struct Comparison {
  const results::RunGroup* before = nullptr;
  const results::RunGroup* after = nullptr;
  std::vector<results::ComparedMetric> metrics;
  std::vector<results::Difference> differences;  ///< of the configurations of their first runs
};

struct Report {
  double threshold_percent = 0;
  std::vector<Comparison> comparisons;
  results::ScalingTable scaling;
  std::vector<results::CheckedReference> references;
};

/// `color`: verdicts in green and red (ANSI).
void print_table(std::ostream&, const Report&, bool color);
/// The tables of `print_table` as GitHub writes them.
void print_markdown(std::ostream&, const Report&);
/// One line a metric and pair of groups; numbers unrounded, empty where there is none. Speed-up and
/// efficiency are lines of their own, and so is each reference, whose bounds stand as the first side's
/// interval.
void print_csv(std::ostream&, const Report&);
void print_json(std::ostream&, const Report&);

}  // namespace partita::compare
