/// Compares runs: which may be compared at all, by which metrics, and with which verdicts.
///
/// A group is one configuration, run once or several times; the unit of every statistic is a run, and a run
/// has one value of a metric wherever it is shown. With one run a side the interval of this value from 20
/// blocks of its steps is shown, marked as "within run", and nothing is concluded from it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/base/key_role.hpp"
#include "partita/results/record.hpp"
#include "partita/results/statistics.hpp"

namespace partita::results {

struct Run {
  std::filesystem::path path;
  RunRecord record;
};

struct RunGroup {
  std::string name;
  std::vector<Run> runs;
};

/// How changes of a metric are judged.
enum class Judgement {
  statistical,  ///< median over runs; flagged when p < 0.05, corrected, and beyond the relative threshold
  points,       ///< as above, the threshold is 0.15 percentage points (accuracy)
  exact,        ///< every byte counts; only with equal grid, algorithm, batch and number of steps
  tolerant      ///< as exact, but flagged only beyond the relative threshold (memory)
};

/// One number of one run.
struct MetricValue {
  std::string name, unit;
  Direction direction = Direction::lower_is_better;
  Judgement judgement = Judgement::statistical;
  bool gated = false;  ///< a change for the worse fails the comparison
  double value = 0;
  std::vector<double> blocks;  ///< the same statistic over 20 blocks of steps, or the repetitions; or empty
  Interval interval{};         ///< of `value` within the run; where there are blocks
};

/// Step time (median), throughput and phases (means over ranks) without the first five steps; losses and
/// accuracy at the end; training bytes of all ranks by axis, operation and purpose; memory of the largest
/// rank; benchmarks.
std::vector<MetricValue> metrics_of(const RunRecord&);

/// One side of a row.
struct Side {
  std::size_t runs = 0;
  double median = not_measured;  ///< over runs; of a single run its value
  Interval interval;
  bool within_run = false;     ///< the interval is from `blocks` of the only run
  std::vector<double> values;  ///< one a run, or the blocks
};

struct ComparedMetric {
  std::string name, unit;
  Direction direction = Direction::lower_is_better;
  bool gated = false;
  Side before, after;
  std::optional<double> change;  ///< of the median, in percent; for accuracy in percentage points
  bool change_in_points = false;
  double threshold = 0;               ///< in the unit of the values
  std::optional<double> p;            ///< of this metric alone
  std::optional<double> p_corrected;  ///< of a gated metric among those tested together
  std::size_t tested_together = 1;
  Verdict verdict = Verdict::inconclusive;
};

struct ComparisonOptions {
  /// The smallest change worth a verdict. To be chosen below the changes that must be found: of changes of
  /// exactly the threshold one half is missed.
  double threshold_percent = 2;
  /// Names of metrics ("step_time") or of families ("phase", "wire_bytes.data"); empty: all.
  std::vector<std::string> metrics;
  base::RoleOf role_of = nullptr;  ///< of the keys of configurations; without, every key is a choice
};

/// Whether `selected` is the name of the metric or of a family that it belongs to: its first words up to a
/// point.
bool names_metric(std::string_view selected, std::string_view metric);

/// Files that stand twice among all groups, by whatever path: every run counts once.
std::vector<base::Violation> check_named_once(const std::vector<RunGroup>&);

/// Keys in which runs differ that must not: between groups schema, content of the data set, model, precision,
/// and the global batch unless the batch of a data rank is the same; inside a group also grid, algorithm and
/// every difference of the configuration (`configuration_differences`); runs marked invalid. Where groups
/// must not be compared, all keys of their configurations that differ are named as well.
std::vector<base::Violation> check_comparable(const std::vector<RunGroup>&, base::RoleOf role_of = nullptr);
/// Whether `check_comparable` finds nothing in these two.
bool are_comparable(const RunGroup& before, const RunGroup& after, base::RoleOf role_of);

/// Whether bytes and memory of two runs may be held against each other: grid, algorithm, batch, steps, and
/// how often they checkpoint.
bool have_comparable_counts(const RunRecord&, const RunRecord&);

/// The selected metrics of two groups, and behind them the geometric mean of the changes of all gated times
/// and rates, where there are two or more. The p values of the gated metrics are corrected as one family
/// (Holm), so that a comparison of equal runs is flagged in at most 5 % of all cases; the others explain, and
/// each stands alone. With `check_comparable` violated every verdict is `incomparable`.
std::vector<ComparedMetric> compare(const RunGroup& before, const RunGroup& after, const ComparisonOptions&);

/// Whether a gated metric became worse.
bool has_regression(const std::vector<ComparedMetric>&);

}  // namespace partita::results
