/// Statistics of comparisons. The unit is a run: steps of one run are autocorrelated, and a test over
/// thousands of them finds every drift.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace partita::results {

/// Median (mean of the middle two for an even number); NaN for none.
double median(std::span<const double> values);

/// The nearest-rank percentile: the smallest value such that at least `percent` of all are not above it; NaN
/// for none. `percent` lies above 0, up to 100.
double percentile(std::span<const double> values, double percent);

/// Confidence interval of the median from order statistics (binomial, distribution-free): the narrowest
/// symmetric interval whose coverage is at least `confidence`, else the whole range with the coverage that it
/// has (n = 5: 93.75 %).
struct Interval {
  double low = 0, high = 0;
  double coverage = 0;
};
Interval median_interval(std::span<const double> values, double confidence = 0.95);

/// Two-sided p value of the Mann–Whitney U test: of all ways to deal the values out to the two sides, the
/// share whose U lies at least as far from its mean as the one observed. Without ties it is exact up to 50
/// values a side; beyond that it is the normal approximation with continuity correction (Mann and Whitney
/// 1947; Hollander, Wolfe and Chicken, 3rd ed., 4.1). With ties, for which that would be wrong, it is exact
/// up to some 60 values a side and beyond that estimated from 20,000 seeded draws. 1 when a side is empty or
/// all values are equal.
double mann_whitney_p(std::span<const double> a, std::span<const double> b);

/// The smallest p that the exact test can give with n and m values: 2 / C(n + m, n); five a side: 0.0079.
double least_mann_whitney_p(std::size_t n, std::size_t m);

/// Corrects the p values of tests that are read together (Holm 1979): the i-th smallest of m is multiplied by
/// m − i + 1, rising, at most 1. The chance that any of them falls below 0.05 without a reason is then at
/// most 5 %, however the tests depend on each other.
std::vector<double> holm(std::span<const double> p);

/// (Π values)^(1/n) of positive values; NaN for none.
double geometric_mean(std::span<const double> values);

/// Means of `blocks` consecutive blocks (cut as everywhere: ⌊i·n/blocks⌋); as many blocks as values when
/// fewer.
std::vector<double> block_means(std::span<const double> values, std::size_t blocks = 20);
/// As `block_means`, with the median of each block.
std::vector<double> block_medians(std::span<const double> values, std::size_t blocks = 20);

/// Confidence interval of `value`, any one statistic of a series, by sectioning (Asmussen and Glynn 2007,
/// chapter III): `value` ± t(n − 1)·s/√n, where s is the spread about `value` of the same statistic over n
/// consecutive blocks. It has `value` in its midst; where nothing is negative it ends at 0. NaN with coverage
/// 0 for fewer than two blocks.
Interval sectioned_interval(double value, std::span<const double> blocks, double confidence = 0.95);

/// `predicted`: one side was measured, the other was not; their difference is the error of a prediction.
enum class Verdict { better, worse, same, inconclusive, incomparable, predicted };
/// "better" "worse" "~" "inconclusive" "incomparable" "prediction".
std::string_view to_string(Verdict);

enum class Direction { lower_is_better, higher_is_better };

/// Runs a side below which nothing is concluded.
inline constexpr std::size_t least_runs = 5;
inline constexpr double significance = 0.05;

/// Judges the change from `before` to `after`: flagged only when `p` (of the two, corrected where several are
/// tested) lies below 0.05 and |change of the median| exceeds `threshold` (in the unit of the values).
Verdict judge(std::span<const double> before, std::span<const double> after, Direction, double threshold,
              double p);

}  // namespace partita::results
