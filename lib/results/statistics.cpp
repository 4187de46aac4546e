/// Intervals of a median by order statistics; the Mann–Whitney test, exact for small samples, with ties by
/// counting or by drawn permutations, else normal; Holm's correction; intervals of one run by its blocks.
#include "partita/results/statistics.hpp"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/binomial.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "partita/topology/cut.hpp"

namespace partita::results {
namespace {

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> v(values.begin(), values.end());
  std::ranges::sort(v);
  return v;
}

/// Twice U of `a`: pairs in which a exceeds b count two, ties one.
std::size_t twice_u(std::span<const double> a, std::span<const double> b) {
  std::size_t sum = 0;
  for (double x : a)
    for (double y : b)
      sum += x > y ? 2 : x == y ? 1 : 0;
  return sum;
}

/// How many values are equal, from the smallest value to the largest.
std::vector<std::size_t> tie_sizes(std::span<const double> a, std::span<const double> b) {
  std::vector<double> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  std::ranges::sort(all);
  std::vector<std::size_t> sizes;
  for (auto i = all.begin(); i != all.end();) {
    const auto end = std::upper_bound(i, all.end(), *i);
    sizes.push_back(static_cast<std::size_t>(end - i));
    i = end;
  }
  return sizes;
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

double ways_to_choose(std::size_t of, std::size_t some) {
  return boost::math::binomial_coefficient<double>(static_cast<unsigned>(of), static_cast<unsigned>(some));
}

/// P(2U ≤ most) for n of the values whose ties are `sizes`, over all ways to choose them. From the smallest
/// value on, `ways` counts by how many are chosen and by their 2U so far; of t equal values j are chosen in
/// C(t, j) ways, each of which exceeds all values not chosen before and halves with the t − j.
double tied_cumulative(std::size_t n, const std::vector<std::size_t>& sizes, std::size_t most) {
  std::vector<std::vector<double>> ways(n + 1, std::vector<double>(most + 1, 0.0));
  ways[0][0] = 1;
  std::size_t seen = 0;
  for (const auto t : sizes) {
    for (std::size_t k = std::min(n, seen) + 1; k-- > 0;)
      for (std::size_t j = 1; j <= std::min(t, n - k); ++j) {
        const std::size_t more = j * (2 * (seen - k) + t - j);
        const double choices = ways_to_choose(t, j);
        for (std::size_t u = 0; u + more <= most; ++u)
          ways[k + j][u + more] += choices * ways[k][u];
      }
    seen += t;
  }
  return std::accumulate(ways[n].begin(), ways[n].end(), 0.0) / ways_to_choose(seen, n);
}

/// The share of permutations whose U lies as far from its mean as the one observed, the observed one counted
/// among them (Phipson and Smyth 2010), which keeps the level whatever the ties. The same on every machine.
double drawn_p(std::size_t n, const std::vector<std::size_t>& sizes, std::size_t twice_distance) {
  constexpr std::size_t draws = 20'000;
  std::vector<std::size_t> ranks;  // twice the mid-ranks
  for (const auto t : sizes)
    ranks.insert(ranks.end(), t, 2 * ranks.size() + t + 1);
  const std::size_t mean = n * (ranks.size() + 1);
  std::mt19937_64 random(1);
  std::size_t as_far = 1;
  for (std::size_t draw = 0; draw < draws; ++draw) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      std::swap(ranks[i], ranks[i + random() % (ranks.size() - i)]);
      sum += ranks[i];
    }
    as_far += std::max(sum, mean) - std::min(sum, mean) >= twice_distance ? 1 : 0;
  }
  return static_cast<double>(as_far) / static_cast<double>(draws + 1);
}

/// Additions that a p value may take.
constexpr std::size_t exact_cost = 50'000'000;

double tied_p(std::size_t n, std::size_t m, const std::vector<std::size_t>& sizes, std::size_t smaller) {
  if (n * (smaller + 1) * (n + m + sizes.size()) > exact_cost) return drawn_p(n, sizes, n * m - smaller);
  // U of the one side is as small as that of the other is large.
  const double below = tied_cumulative(n, sizes, smaller);
  return std::min(1.0, below + (n == m ? below : tied_cumulative(m, sizes, smaller)));
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
  const auto u = twice_u(a, b), smaller = std::min(u, 2 * a.size() * b.size() - u);
  const auto sizes = tie_sizes(a, b);
  if (sizes.size() < a.size() + b.size()) return tied_p(a.size(), b.size(), sizes, smaller);
  const double least = static_cast<double>(smaller) / 2;
  if (a.size() <= exact_limit && b.size() <= exact_limit)
    return std::min(1.0, 2 * exact_cumulative(a.size(), b.size(), least));
  const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  const double z = (least - n * m / 2 + 0.5) / std::sqrt(n * m / 12 * (n + m + 1));
  return std::min(1.0, 2 * boost::math::cdf(boost::math::normal_distribution<double>(), z));
}

double least_mann_whitney_p(std::size_t n, std::size_t m) {
  return n == 0 || m == 0 ? 1 : std::min(1.0, 2 / ways_to_choose(n + m, n));
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
    case Verdict::predicted:
      return "prediction";
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
