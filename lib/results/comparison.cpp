#include "partita/results/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace partita::results {
namespace {

/// Accuracies of two configurations differ by at most this (means over seeds 1 to 5).
constexpr double accuracy_points = 0.15;

struct Key {
  std::string name;
  std::function<std::string(const RunRecord&)> value;
};

std::string layers_of(const RunRecord& r) {
  std::string text;
  for (const auto& layer : r.layers)
    text += (text.empty() ? "" : ", ") + layer.name + " " + layer.output;
  return text;
}

const std::vector<Key>& workload_keys() {
  static const std::vector<Key> keys = {
      {"schema_version", [](const auto& r) { return std::to_string(r.attributes.schema); }},
      {"dataset", [](const auto& r) { return r.attributes.dataset; }},
      {"dataset_hash", [](const auto& r) { return r.attributes.dataset_hash; }},
      {"model", [](const auto& r) { return r.attributes.model; }},
      {"layers", layers_of},
      {"precision", [](const auto& r) { return r.attributes.precision; }}};
  return keys;
}

/// What must agree, besides, inside a group of repetitions, and (with the number of steps) for bytes to be
/// compared.
const std::vector<Key>& configuration_keys() {
  static const std::vector<Key> keys = {{"grid", [](const auto& r) { return to_string(r.attributes.grid); }},
                                        {"algorithm", [](const auto& r) { return r.attributes.algorithm; }}};
  return keys;
}

void report_difference(std::vector<base::Violation>& violations, const std::vector<Key>& keys, const Run& a,
                       const Run& b) {
  for (const auto& key : keys) {
    const auto x = key.value(a.record), y = key.value(b.record);
    if (x != y)
      violations.push_back(
          {key.name, "",
           "is \"" + x + "\" in " + a.path.string() + " but \"" + y + "\" in " + b.path.string()});
  }
}

/// The global batch must agree (strong scaling), or the batch of a data rank (weak scaling).
void report_batch(std::vector<base::Violation>& violations, const Run& a, const Run& b) {
  const auto &x = a.record.attributes, &y = b.record.attributes;
  if (x.batch == y.batch || x.batch * y.grid.data == y.batch * x.grid.data) return;
  violations.push_back({"batch", "",
                        "is " + std::to_string(x.batch) + " in " + a.path.string() + " but " +
                            std::to_string(y.batch) + " in " + b.path.string() +
                            ", and a data rank's share differs too"});
}

bool agree(const std::vector<Key>& keys, const RunRecord& a, const RunRecord& b) {
  return std::ranges::all_of(keys, [&](const Key& key) { return key.value(a) == key.value(b); });
}

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

/// The values of one metric over the runs of a group. No bytes are zero bytes; anything else missing is not
/// measured.
Side side_of(const MetricValue& kind, const std::vector<std::vector<MetricValue>>& runs) {
  Side side{.runs = runs.size()};
  for (const auto& metrics : runs) {
    const auto found = std::ranges::find(metrics, kind.name, &MetricValue::name);
    const double missing = is_count(kind) ? 0.0 : not_measured;
    side.values.push_back(found == metrics.end() ? missing : found->value);
    if (runs.size() == 1 && found != metrics.end() && !found->blocks.empty()) {
      side.within_run = true;
      side.values = found->blocks;
      break;
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
  const double threshold = threshold_of(kind, row.before.median, options);
  const bool within_run = row.before.within_run || row.after.within_run;
  if (!same_workload || !std::isfinite(difference) || (is_count(kind) && !same_configuration)) {
    row.verdict = Verdict::incomparable;
  } else if (is_count(kind)) {
    row.verdict = judge_counts(row.before, row.after, threshold);
  } else if (!within_run) {
    row.verdict = judge(row.before.values, row.after.values, kind.direction, threshold);
    if (row.before.runs > 1 && row.after.runs > 1)
      row.p = mann_whitney_p(row.before.values, row.after.values);
  }
  return row;
}

std::vector<std::vector<MetricValue>> metrics_of_runs(const RunGroup& group) {
  std::vector<std::vector<MetricValue>> metrics;
  for (const auto& run : group.runs)
    metrics.push_back(metrics_of(run.record));
  return metrics;
}

}  // namespace

std::vector<base::Violation> check_comparable(const std::vector<RunGroup>& groups) {
  std::vector<base::Violation> violations;
  for (const auto& group : groups) {
    std::set<std::filesystem::path> paths;
    for (const auto& run : group.runs) {
      std::error_code error;
      if (!paths.insert(std::filesystem::weakly_canonical(run.path, error)).second)
        violations.push_back({run.path.string(), "",
                              "is named twice in group " + group.name + "; repetitions are separate runs"});
      if (run.record.attributes.status == Status::invalid)
        violations.push_back(
            {"status", "invalid", "of " + run.path.string() + ": its numbers must not be used"});
      report_difference(violations, configuration_keys(), group.runs.front(), run);
      report_difference(violations, workload_keys(), groups.front().runs.front(), run);
      report_batch(violations, groups.front().runs.front(), run);
    }
  }
  return violations;
}

std::vector<ComparedMetric> compare(const RunGroup& before, const RunGroup& after,
                                    const ComparisonOptions& options) {
  base::expect(!before.runs.empty() && !after.runs.empty(), "groups that are compared have runs");
  const auto a = metrics_of_runs(before), b = metrics_of_runs(after);
  auto both = a;
  both.insert(both.end(), b.begin(), b.end());
  const bool same_workload = check_comparable({before, after}).empty();
  const bool same_configuration =
      agree(configuration_keys(), before.runs.front().record, after.runs.front().record) &&
      before.runs.front().record.steps.count() == after.runs.front().record.steps.count();
  std::vector<ComparedMetric> rows;
  for (const auto& kind : kinds_of(both)) {
    auto row =
        compare_metric(kind, side_of(kind, a), side_of(kind, b), same_workload, same_configuration, options);
    const bool nothing = row.before.median == 0 && row.after.median == 0;
    if (!nothing) rows.push_back(std::move(row));
  }
  return rows;
}

bool has_regression(const std::vector<ComparedMetric>& rows) {
  return std::ranges::any_of(rows,
                             [](const auto& row) { return row.gated && row.verdict == Verdict::worse; });
}

}  // namespace partita::results
