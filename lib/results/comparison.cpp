/// From two groups of runs to rows: value and interval of each side, threshold, test, correction for the
/// number of tests, verdict; and one row for the mean of all gated times and rates.
#include "partita/results/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

namespace partita::results {
namespace {

/// Accuracies of two configurations differ by at most this (means over seeds 1 to 5).
constexpr double accuracy_points = 0.15;

/// All metrics that any run has, in the order of the runs: one that only some have stands behind its
/// predecessor.
std::vector<MetricValue> kinds_of(const std::vector<std::vector<MetricValue>>& runs) {
  std::vector<MetricValue> kinds;
  for (const auto& metrics : runs) {
    auto next = kinds.begin();
    for (const auto& metric : metrics) {
      const auto known = std::ranges::find(kinds, metric.name, &MetricValue::name);
      next = (known == kinds.end() ? kinds.insert(next, metric) : known) + 1;
    }
  }
  return kinds;
}

bool is_count(const MetricValue& kind) {
  return kind.judgement == Judgement::exact || kind.judgement == Judgement::tolerant;
}

bool is_selected(const std::string& metric, const ComparisonOptions& options) {
  return options.metrics.empty() || std::ranges::any_of(options.metrics, [&](const std::string& selected) {
           return names_metric(selected, metric);
         });
}

/// The values of one metric over the runs of a group. A run that lacks a count has 0 of it; any other value
/// that is missing was not measured.
Side side_of(const MetricValue& kind, const std::vector<std::vector<MetricValue>>& runs) {
  Side side{.runs = runs.size()};
  for (const auto& metrics : runs) {
    const auto found = std::ranges::find(metrics, kind.name, &MetricValue::name);
    const double missing = is_count(kind) ? 0.0 : not_measured;
    side.values.push_back(found == metrics.end() ? missing : found->value);
    if (runs.size() == 1 && found != metrics.end() && !found->blocks.empty()) {
      return {.runs = 1,
              .median = found->value,
              .interval = found->interval,
              .within_run = true,
              .values = found->blocks};
    }
  }
  const bool measured = std::ranges::none_of(side.values, [](double v) { return std::isnan(v); });
  if (measured) {
    side.median = median(side.values);
    side.interval = median_interval(side.values);
  }
  return side;
}

double threshold_of(const MetricValue& kind, double before, const ComparisonOptions& options) {
  switch (kind.judgement) {
    case Judgement::points:
      return accuracy_points;
    case Judgement::exact:
      return 0;
    default:
      return std::abs(before) * options.threshold_percent / 100;
  }
}

/// Counts are not random: all runs of a side have the same, and every difference beyond the threshold is a
/// change.
Verdict judge_counts(const Side& before, const Side& after, double threshold) {
  const auto varies = [](const Side& s) {
    return std::ranges::adjacent_find(s.values, std::not_equal_to<>()) != s.values.end();
  };
  if (varies(before) || varies(after)) return Verdict::inconclusive;
  const double change = after.median - before.median;
  if (!(std::abs(change) > threshold)) return Verdict::same;
  return change < 0 ? Verdict::better : Verdict::worse;
}

ComparedMetric compare_metric(const MetricValue& kind, Side before, Side after, bool same_workload,
                              bool same_configuration, const ComparisonOptions& options) {
  ComparedMetric row{.name = kind.name,
                     .unit = kind.unit,
                     .direction = kind.direction,
                     .gated = kind.gated,
                     .before = std::move(before),
                     .after = std::move(after)};
  const double difference = row.after.median - row.before.median;
  row.change_in_points = kind.judgement == Judgement::points;
  if (std::isfinite(difference) && row.change_in_points) row.change = difference;
  if (std::isfinite(difference) && !row.change_in_points && (difference == 0 || row.before.median != 0))
    row.change = difference == 0 ? 0 : 100 * difference / std::abs(row.before.median);
  row.threshold = threshold_of(kind, row.before.median, options);
  const bool within_run = row.before.within_run || row.after.within_run;
  if (!same_workload || !std::isfinite(difference) || (is_count(kind) && !same_configuration)) {
    row.verdict = Verdict::incomparable;
  } else if (is_count(kind)) {
    row.verdict = judge_counts(row.before, row.after, row.threshold);
  } else if (!within_run && row.before.runs > 1 && row.after.runs > 1) {
    row.p = mann_whitney_p(row.before.values, row.after.values);
  }
  return row;
}

bool all_equal(const ComparedMetric& row) {
  const double value = row.before.values.front();
  const auto equal = [&](double other) { return other == value; };
  return std::ranges::all_of(row.before.values, equal) && std::ranges::all_of(row.after.values, equal);
}

/// Corrects the p values of the gated metrics as one family. A metric whose values are all equal cannot be
/// flagged by chance and does not count (Tarone 1990).
void correct(std::vector<ComparedMetric>& rows) {
  std::vector<ComparedMetric*> family;
  std::vector<double> p;
  for (auto& row : rows)
    if (row.gated && row.p && !all_equal(row)) {
      family.push_back(&row);
      p.push_back(*row.p);
    }
  const auto corrected = holm(p);
  for (std::size_t i = 0; i < family.size(); ++i) {
    family[i]->p_corrected = corrected[i];
    family[i]->tested_together = family.size();
  }
}

/// So many metrics may be tested together that after the correction even the smallest p that these runs can
/// give would flag none. A change that would be flagged on its own is then inconclusive rather than nothing.
Verdict verdict_of(const ComparedMetric& row) {
  const auto judged = [&](double p) {
    return judge(row.before.values, row.after.values, row.direction, row.threshold, p);
  };
  const auto verdict = judged(row.p_corrected.value_or(*row.p));
  const double least = least_mann_whitney_p(row.before.runs, row.after.runs);
  const bool hopeless = static_cast<double>(row.tested_together) * least >= significance;
  if (verdict == Verdict::same && hopeless && judged(*row.p) != Verdict::same) return Verdict::inconclusive;
  return verdict;
}

void judge_times(std::vector<ComparedMetric>& rows) {
  correct(rows);
  for (auto& row : rows)
    if (row.p) row.verdict = verdict_of(row);
}

/// How a value of the metric reads as a time: itself, or for a rate its inverse; 0 for what is no time.
double time_exponent(const ComparedMetric& row) {
  if (!row.gated) return 0;
  return row.unit == "s" ? 1 : row.unit.ends_with("/s") ? -1 : 0;
}

/// The geometric mean, over the gated times and rates that both sides have, of value over the first side's
/// median; one score a run, so that it has a spread and a p of its own. It sums up what gates already.
std::optional<ComparedMetric> geometric_mean_row(const std::vector<ComparedMetric>& rows,
                                                 const ComparisonOptions& options) {
  std::vector<std::vector<double>> ratios[2];
  for (const auto& row : rows) {
    const double exponent = time_exponent(row);
    if (exponent == 0 || row.verdict == Verdict::incomparable || !(row.before.median > 0)) continue;
    for (const auto* side : {&row.before, &row.after}) {
      auto values = side->within_run ? std::vector{side->median} : side->values;
      for (auto& value : values)
        value = std::pow(value / row.before.median, exponent);
      ratios[side == &row.after].push_back(std::move(values));
    }
  }
  if (ratios[0].size() < 2) return std::nullopt;
  const auto scores = [](const std::vector<std::vector<double>>& of_metric) {
    Side side{.runs = of_metric.front().size()};
    for (std::size_t run = 0; run < side.runs; ++run) {
      std::vector<double> of_run;
      for (const auto& values : of_metric)
        of_run.push_back(values[run]);
      side.values.push_back(geometric_mean(of_run));
    }
    side.median = median(side.values);
    side.interval = median_interval(side.values);
    return side;
  };
  auto row = compare_metric({.name = "geometric_mean", .unit = "1"}, scores(ratios[0]), scores(ratios[1]),
                            true, true, options);
  if (row.p) row.verdict = verdict_of(row);
  return row;
}

/// What is known of times on one side only by a model is neither better nor worse.
std::vector<ComparedMetric> predicted(std::vector<ComparedMetric> rows) {
  for (auto& row : rows) {
    if (row.verdict == Verdict::same || row.verdict == Verdict::better || row.verdict == Verdict::worse)
      continue;
    row.gated = false;
    row.p.reset();
    if (row.change) row.verdict = Verdict::predicted;
  }
  return rows;
}

std::vector<std::vector<MetricValue>> metrics_of_runs(const RunGroup& group) {
  std::vector<std::vector<MetricValue>> metrics;
  for (const auto& run : group.runs)
    metrics.push_back(metrics_of(run.record));
  return metrics;
}

}  // namespace

bool names_metric(std::string_view selected, std::string_view metric) {
  return metric == selected || (metric.starts_with(selected) && metric[selected.size()] == '.');
}

std::vector<ComparedMetric> compare(const RunGroup& before, const RunGroup& after,
                                    const ComparisonOptions& options) {
  base::expect(!before.runs.empty() && !after.runs.empty(), "groups that are compared have runs");
  const auto a = metrics_of_runs(before), b = metrics_of_runs(after);
  auto both = a;
  both.insert(both.end(), b.begin(), b.end());
  const bool same_workload = are_comparable(before, after, options.role_of);
  const bool same_configuration =
      have_comparable_counts(before.runs.front().record, after.runs.front().record);
  std::vector<ComparedMetric> rows;
  for (const auto& kind : kinds_of(both)) {
    if (!is_selected(kind.name, options)) continue;
    auto row =
        compare_metric(kind, side_of(kind, a), side_of(kind, b), same_workload, same_configuration, options);
    const bool nothing = row.before.median == 0 && row.after.median == 0;
    if (!nothing) rows.push_back(std::move(row));
  }
  const auto kind_of = [](const RunGroup& group) { return group.runs.front().record.attributes.kind; };
  if (kind_of(before) != kind_of(after)) return predicted(std::move(rows));
  judge_times(rows);
  if (auto mean = geometric_mean_row(rows, options)) rows.push_back(std::move(*mean));
  return rows;
}

bool has_regression(const std::vector<ComparedMetric>& rows) {
  return std::ranges::any_of(rows,
                             [](const auto& row) { return row.gated && row.verdict == Verdict::worse; });
}

}  // namespace partita::results
