#include "partita/results/statistics.hpp"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/binomial.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "partita/topology/cut.hpp"

namespace partita::results {
namespace {

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> v(values.begin(), values.end());
  std::ranges::sort(v);
  return v;
}

/// U of `a` (pairs in which a exceeds b, ties count half) and Σ(t³ − t) over groups of equal values.
struct RankSum {
  double u = 0;
  double tie_term = 0;
};

RankSum rank_sum(std::span<const double> a, std::span<const double> b) {
  RankSum sum;
  for (double x : a)
    for (double y : b)
      sum.u += x > y ? 1.0 : x == y ? 0.5 : 0.0;
  std::vector<double> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  std::ranges::sort(all);
  for (auto i = all.begin(); i != all.end();) {
    const auto end = std::upper_bound(i, all.end(), *i);
    const auto t = static_cast<double>(end - i);
    sum.tie_term += t * t * t - t;
    i = end;
  }
  return sum;
}

/// P(U ≤ u) for samples of n and m without ties. Orders with U = k are the partitions of k into at most n
/// parts of at most m: the coefficients of the Gaussian binomial Π (1 − x^(m+i)) / (1 − x^i), i = 1..n.
double exact_cumulative(std::size_t n, std::size_t m, double u) {
  const std::size_t top = n * m;
  std::vector<double> orders(top + 1, 0.0);
  orders[0] = 1;
  for (std::size_t i = 1; i <= n; ++i) {
    for (std::size_t k = top; k >= m + i && k <= top; --k)
      orders[k] -= orders[k - (m + i)];
    for (std::size_t k = i; k <= top; ++k)
      orders[k] += orders[k - i];
  }
  const double all = std::accumulate(orders.begin(), orders.end(), 0.0);
  double below = 0;
  for (std::size_t k = 0; static_cast<double>(k) <= u && k <= top; ++k)
    below += orders[k];
  return below / all;
}

constexpr std::size_t exact_limit = 50;

/// `of` each of the blocks of equal size (to one), in order.
template <class Statistic>
std::vector<double> over_blocks(std::span<const double> values, std::size_t blocks, Statistic of) {
  const auto count = static_cast<std::int64_t>(values.size());
  const auto used = std::min(static_cast<std::int64_t>(blocks), count);
  std::vector<double> results;
  for (std::int64_t i = 0; i < used; ++i) {
    const auto range = topology::share(i, used, count);
    results.push_back(
        of(values.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()))));
  }
  return results;
}

}  // namespace

double median(std::span<const double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto v = sorted(values);
  return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}

double percentile(std::span<const double> values, double percent) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto v = sorted(values);
  const auto rank = std::ceil(percent * static_cast<double>(v.size()) / 100);
  return v[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
}

Interval median_interval(std::span<const double> values, double confidence) {
  if (values.empty()) return {std::nan(""), std::nan(""), 0};
  const auto v = sorted(values);
  const boost::math::binomial_distribution<double> below(static_cast<double>(v.size()), 0.5);
  // [x_(k+1), x_(n−k)] misses the median when at most k values lie on one side of it.
  const auto coverage = [&](std::size_t k) {
    return 1 - 2 * boost::math::cdf(below, static_cast<double>(k));
  };
  std::size_t k = 0;
  while (2 * (k + 1) < v.size() && coverage(k + 1) >= confidence)
    ++k;
  return {v[k], v[v.size() - 1 - k], std::max(0.0, coverage(k))};
}

double mann_whitney_p(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return 1;
  const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  const auto [u, tie_term] = rank_sum(a, b);
  const double smaller = std::min(u, n * m - u);
  if (tie_term == 0 && a.size() <= exact_limit && b.size() <= exact_limit)
    return std::min(1.0, 2 * exact_cumulative(a.size(), b.size(), smaller));
  const double all = n + m;
  const double variance = n * m / 12 * (all + 1 - tie_term / (all * (all - 1)));
  if (!(variance > 0)) return 1;
  const double z = (smaller - n * m / 2 + 0.5) / std::sqrt(variance);
  return std::min(1.0, 2 * boost::math::cdf(boost::math::normal_distribution<double>(), z));
}

double least_mann_whitney_p(std::size_t n, std::size_t m) {
  return n == 0 || m == 0 ? 1
                          : std::min(1.0, 2 / boost::math::binomial_coefficient<double>(
                                                  static_cast<unsigned>(n + m), static_cast<unsigned>(n)));
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return p[i]; });
  std::vector<double> corrected(p.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, static_cast<double>(p.size() - rank) * p[order[rank]]);
    corrected[order[rank]] = std::min(1.0, largest);
  }
  return corrected;
}

double geometric_mean(std::span<const double> values) {
  double sum = 0;
  for (double v : values)
    sum += std::log(v);
  return std::exp(sum / static_cast<double>(values.size()));
}

std::vector<double> block_means(std::span<const double> values, std::size_t blocks) {
  return over_blocks(values, blocks, [](std::span<const double> block) {
    return std::accumulate(block.begin(), block.end(), 0.0) / static_cast<double>(block.size());
  });
}

std::vector<double> block_medians(std::span<const double> values, std::size_t blocks) {
  return over_blocks(values, blocks, median);
}

Interval sectioned_interval(double value, std::span<const double> blocks, double confidence) {
  if (blocks.size() < 2) return {std::nan(""), std::nan(""), 0};
  const auto n = static_cast<double>(blocks.size());
  double squares = 0;
  for (double block : blocks)
    squares += (block - value) * (block - value);
  const boost::math::students_t_distribution<double> t(n - 1);
  const double half = boost::math::quantile(t, (1 + confidence) / 2) * std::sqrt(squares / (n - 1) / n);
  const bool negative = value < 0 || std::ranges::any_of(blocks, [](double block) { return block < 0; });
  return {negative ? value - half : std::max(0.0, value - half), value + half, confidence};
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::better:
      return "better";
    case Verdict::worse:
      return "worse";
    case Verdict::same:
      return "~";
    case Verdict::inconclusive:
      return "inconclusive";
    case Verdict::incomparable:
      return "incomparable";
  }
  return "unknown";
}

Verdict judge(std::span<const double> before, std::span<const double> after, Direction direction,
              double threshold, double p) {
  const auto finite = [](double x) { return std::isfinite(x); };
  if (!std::ranges::all_of(before, finite) || !std::ranges::all_of(after, finite))
    return Verdict::incomparable;
  if (before.size() < least_runs || after.size() < least_runs) return Verdict::inconclusive;
  const double change = median(after) - median(before);
  if (!(std::abs(change) > threshold) || !(p < significance)) return Verdict::same;
  return (change < 0) == (direction == Direction::lower_is_better) ? Verdict::better : Verdict::worse;
}

}  // namespace partita::results
