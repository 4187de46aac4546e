/// Compares runs: which may be compared at all, by which metrics, and with which verdicts.
///
/// A group is one configuration, run once or several times; the unit of every statistic is a run. With one
/// run a side the spread over 20 blocks of its steps is shown, marked as "within run", and nothing is
/// concluded from it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "partita/base/error.hpp"
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
  statistical,  ///< median over runs; flagged when p < 0.05 and beyond the relative threshold
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
  std::vector<double> blocks;  ///< the same over 20 blocks of steps; empty where that has no meaning
};

/// Step time (median), throughput and phases (means over ranks) without the first five steps; losses and
/// accuracy at the end; training bytes of all ranks by axis, operation and purpose; memory of the largest
/// rank; benchmarks.
std::vector<MetricValue> metrics_of(const RunRecord&);

/// One side of a row.
struct Side {
  std::size_t runs = 0;
  double median = not_measured;
  Interval interval;
  bool within_run = false;     ///< median and interval are over `blocks` of the only run
  std::vector<double> values;  ///< one a run, or the blocks
};

struct ComparedMetric {
  std::string name, unit;
  Direction direction = Direction::lower_is_better;
  bool gated = false;
  Side before, after;
  std::optional<double> change;  ///< of the median, in percent; for accuracy in percentage points
  bool change_in_points = false;
  std::optional<double> p;
  Verdict verdict = Verdict::inconclusive;
};

struct ComparisonOptions {
  double threshold_percent = 5;
};

/// Keys in which runs differ that must not: between groups schema, dataset, model, precision, and the global
/// batch unless the batch of a data rank is the same; inside a group also grid and algorithm; runs marked
/// invalid; a file named twice in one group.
std::vector<base::Violation> check_comparable(const std::vector<RunGroup>&);

/// All metrics of two groups that have any. With `check_comparable` violated every verdict is `incomparable`.
std::vector<ComparedMetric> compare(const RunGroup& before, const RunGroup& after, const ComparisonOptions&);

/// Whether a gated metric became worse.
bool has_regression(const std::vector<ComparedMetric>&);

}  // namespace partita::results
