/// Statistics against published tables and against SciPy 1.10 (mannwhitneyu, binom).
#include "partita/results/statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <utility>

namespace partita::results {
namespace {

using Values = std::vector<double>;

TEST(Median, IsTheMiddleOrTheMeanOfTheMiddleTwo) {
  EXPECT_TRUE(std::isnan(median(Values{})));
  EXPECT_EQ(median(Values{3}), 3);
  EXPECT_EQ(median(Values{3, 1}), 2);
  EXPECT_EQ(median(Values{9, 1, 5}), 5);
  EXPECT_EQ(median(Values{4, 1, 9, 5}), 4.5);
}

TEST(Percentile, IsTheValueAtTheNearestRank) {
  EXPECT_TRUE(std::isnan(percentile(Values{}, 50)));
  for (const double percent : {0.1, 50.0, 100.0})
    EXPECT_EQ(percentile(Values{3}, percent), 3);
  const Values five{50, 15, 40, 20, 35};
  EXPECT_EQ(percentile(five, 5), 15);
  EXPECT_EQ(percentile(five, 20), 15);
  EXPECT_EQ(percentile(five, 30), 20);
  EXPECT_EQ(percentile(five, 40), 20);
  EXPECT_EQ(percentile(five, 50), 35);
  EXPECT_EQ(percentile(five, 100), 50);
  Values hundred;
  for (int i = 100; i > 0; --i)
    hundred.push_back(i);
  for (const int percent : {1, 50, 90, 95, 99, 100})
    EXPECT_EQ(percentile(hundred, percent), percent);
}

TEST(MedianInterval, HasTheBinomialCoverage) {
  const auto first = [](int n) {
    Values v;
    for (int i = n; i >= 1; --i)
      v.push_back(i);
    return v;
  };
  struct Case {
    int n;
    double low, high, coverage;
  };
  for (const auto& c : {Case{1, 1, 1, 0}, Case{2, 1, 2, 0.5}, Case{5, 1, 5, 0.9375}, Case{6, 1, 6, 0.96875},
                        Case{9, 2, 8, 0.9609375}, Case{20, 6, 15, 0.9586105346679688}}) {
    const auto interval = median_interval(first(c.n));
    EXPECT_EQ(interval.low, c.low) << c.n;
    EXPECT_EQ(interval.high, c.high) << c.n;
    EXPECT_NEAR(interval.coverage, c.coverage, 1e-12) << c.n;
  }
  EXPECT_TRUE(std::isnan(median_interval(Values{}).low));
}

TEST(MannWhitney, IsExactForSmallSamplesWithoutTies) {
  // All 252 orders of five and five are equally likely: two of them are as extreme as complete separation.
  EXPECT_NEAR(mann_whitney_p(Values{1, 2, 3, 4, 5}, Values{6, 7, 8, 9, 10}), 2.0 / 252, 1e-15);
  EXPECT_NEAR(mann_whitney_p(Values{6, 7, 8, 9, 10}, Values{1, 2, 3, 4, 5}), 2.0 / 252, 1e-15);
  EXPECT_NEAR(mann_whitney_p(Values{1}, Values{2}), 1, 1e-15);
  // SciPy, method="exact"; the second is SciPy's example of diabetics, the third Hollander and Wolfe's 4.1.
  EXPECT_NEAR(mann_whitney_p(Values{1, 3, 5, 7, 9}, Values{2, 4, 6, 8, 10}), 0.6904761904761905, 1e-12);
  EXPECT_NEAR(mann_whitney_p(Values{19, 22, 16, 29, 24}, Values{20, 11, 17, 12}), 0.1111111111111111, 1e-12);
  EXPECT_NEAR(mann_whitney_p(Values{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46},
                             Values{1.15, 0.88, 0.90, 0.74, 1.21}),
              0.2544122544122544, 1e-12);
  Values x, y;
  for (int i = 0; i < 50; ++i) {
    x.push_back(i * 37 % 101 + 0.25);
    y.push_back((i * 53 % 97) * 1.1 + 0.013);
  }
  EXPECT_NEAR(mann_whitney_p(x, y), 0.9644203412005763, 1e-10);
}

/// The definition: of all ways to choose n of the values, the share whose U lies as far from nm/2.
double enumerated_p(const Values& a, const Values& b) {
  Values all(a);
  all.insert(all.end(), b.begin(), b.end());
  const auto distance = [&](unsigned chosen) {
    double u = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t j = 0; j < all.size(); ++j)
        if ((chosen >> i & 1U) != 0 && (chosen >> j & 1U) == 0)
          u += all[i] > all[j] ? 1 : all[i] == all[j] ? 0.5 : 0;
    return std::abs(u - static_cast<double>(a.size() * b.size()) / 2);
  };
  const double observed = distance((1U << a.size()) - 1);
  int as_far = 0, ways = 0;
  for (unsigned chosen = 0; chosen < 1U << all.size(); ++chosen)
    if (std::popcount(chosen) == static_cast<int>(a.size()))
      ++ways, as_far += distance(chosen) >= observed ? 1 : 0;
  return as_far / double(ways);
}

TEST(MannWhitney, IsExactWithTies) {
  EXPECT_NEAR(mann_whitney_p(Values{93, 94, 95, 96, 96}, Values{96, 96, 96, 97, 98}), 20.0 / 252, 1e-15);
  EXPECT_NEAR(mann_whitney_p(Values{1, 1, 1, 1, 1}, Values{2, 2, 2, 2, 2}), 2.0 / 252, 1e-15);
  const std::pair<Values, Values> cases[] = {{{93, 94, 95, 96, 96}, {96, 96, 96, 97, 98}},
                                             {{1, 2, 2, 3, 4, 4, 5}, {2, 3, 3, 4, 5, 6, 6}},
                                             {{1, 1, 1}, {1, 1, 2, 2, 2, 2}},
                                             {{3, 3}, {1, 1, 1, 2, 3, 3, 3, 9}},
                                             {{2, 2, 2, 2, 2, 1}, {2, 2, 3, 3, 4}},
                                             {{5}, {1, 1, 5, 5}}};
  for (const auto& [a, b] : cases) {
    EXPECT_NEAR(mann_whitney_p(a, b), enumerated_p(a, b), 1e-13) << a.size();
    EXPECT_NEAR(mann_whitney_p(b, a), enumerated_p(b, a), 1e-13) << a.size();
  }
}

/// The values of all ways to tie ten, each dealt out to five and five in all ways.
TEST(MannWhitney, KeepsItsLevelWhateverTheTies) {
  double largest = 0;
  for (unsigned steps = 0; steps < 1U << 9; ++steps) {
    int flagged = 0;
    for (unsigned chosen = 0; chosen < 1U << 10; ++chosen) {
      if (std::popcount(chosen) != 5) continue;
      Values sides[2];
      for (unsigned i = 0; i < 10; ++i)
        sides[chosen >> i & 1U].push_back(std::popcount(steps & ((1U << i) - 1)));
      flagged += mann_whitney_p(sides[0], sides[1]) < significance ? 1 : 0;
    }
    largest = std::max(largest, flagged / 252.0);
  }
  EXPECT_LE(largest, significance);
  EXPECT_GT(largest, 0.03) << "the test still finds something";
}

TEST(MannWhitney, DrawsPermutationsOfManyTiedValues) {
  // Five that stand out, all on one side: 2·C(235, 115) / C(240, 120) = 0.0607; a normal deviate says 0.026.
  Values plain(120, 1.0), with(120, 1.0);
  std::fill_n(with.begin(), 5, 2.0);
  const double p = mann_whitney_p(plain, with);
  EXPECT_NEAR(p, 0.0607, 0.007);
  EXPECT_EQ(p, mann_whitney_p(plain, with)) << "seeded";
}

TEST(MannWhitney, IsNormalForManyValues) {
  // SciPy, method="asymptotic"; with ties exact, which is close to it.
  Values x, y;
  for (int i = 0; i < 60; ++i)
    x.push_back((i * 37 % 101) / 7.0);
  for (int i = 0; i < 55; ++i)
    y.push_back((i * 53 % 97) / 6.0 + 1);
  EXPECT_NEAR(mann_whitney_p(x, y), 0.058430336874427814, 1e-3);
  for (int i = 0; i < 60; ++i)
    x[static_cast<std::size_t>(i)] = i * 37 % 101 + 0.25;
  for (int i = 0; i < 55; ++i)
    y[static_cast<std::size_t>(i)] = (i * 53 % 97) * 1.1 + 0.013;
  EXPECT_NEAR(mann_whitney_p(x, y), 0.7989153516664105, 1e-10);
}

TEST(MannWhitney, FindsNothingInEqualOrMissingValues) {
  EXPECT_EQ(mann_whitney_p(Values{2, 2, 2}, Values{2, 2, 2, 2}), 1);
  EXPECT_EQ(mann_whitney_p(Values{}, Values{1}), 1);
}

TEST(BlockMeans, CutAsEverywhere) {
  EXPECT_EQ(block_means(Values{1, 2, 3, 4, 5}, 2), (Values{1.5, 4}));
  EXPECT_EQ(block_means(Values{1, 2, 3}, 20), (Values{1, 2, 3}));
  EXPECT_TRUE(block_means(Values{}, 20).empty());
  EXPECT_EQ(block_medians(Values{1, 2, 9, 4, 5, 6}, 2), (Values{2, 5}));
}

TEST(SectionedInterval, LiesAboutTheValueOfTheWholeSeries) {
  // s² = (1 + 1 + 4) / 2 about 3, t(2) = 4.302653 at 97.5 %.
  const auto interval = sectioned_interval(3, Values{2, 4, 5});
  EXPECT_NEAR(interval.high, 3 + 4.302653, 1e-5);
  EXPECT_EQ(interval.low, 0) << "a time is not negative";
  EXPECT_EQ(interval.coverage, 0.95);
  EXPECT_NEAR(sectioned_interval(3, Values{2, 4, -5}).low, 3 - 4.302653 * std::sqrt(66.0 / 2 / 3), 1e-4);
  EXPECT_TRUE(std::isnan(sectioned_interval(3, Values{3}).low));
}

Verdict judge(std::span<const double> before, std::span<const double> after, Direction direction,
              double threshold) {
  return results::judge(before, after, direction, threshold, mann_whitney_p(before, after));
}

TEST(MannWhitney, CannotFallBelowItsLeast) {
  EXPECT_NEAR(least_mann_whitney_p(5, 5), 2.0 / 252, 1e-15);
  EXPECT_NEAR(least_mann_whitney_p(6, 4), 2.0 / 210, 1e-15);
  EXPECT_EQ(least_mann_whitney_p(1, 1), 1);
  EXPECT_EQ(least_mann_whitney_p(0, 3), 1);
}

TEST(Holm, MultipliesTheSmallestByAllAndTheLargestByOne) {
  // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
  const auto corrected = holm(Values{0.01, 0.04, 0.03, 0.005});
  const Values expected{0.03, 0.06, 0.06, 0.02};
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(corrected[i], expected[i], 1e-15) << i;
  EXPECT_EQ(holm(Values{0.04}), Values{0.04});
  EXPECT_EQ(holm(Values{0.7, 0.6}), (Values{1, 1}));
  EXPECT_TRUE(holm(Values{}).empty());
}

/// Of many families of tests without any effect, however dependent, at most 5 % have a small corrected p.
TEST(Holm, KeepsTheLevelOfAFamily) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> uniform;
  int independent = 0, dependent = 0, uncorrected = 0;
  constexpr int trials = 4000;
  for (int t = 0; t < trials; ++t) {
    Values p(6);
    for (auto& v : p)
      v = uniform(random);
    const auto flagged = [](const Values& values) { return std::ranges::min(values) < significance; };
    uncorrected += flagged(p);
    independent += flagged(holm(p));
    dependent += flagged(holm(Values(6, p[0])));
  }
  // 1 − (1 − 0.05/6)⁶ = 4.9 %, four standard deviations are 1.4 %; without correction 26 %.
  EXPECT_NEAR(independent / double(trials), 0.049, 0.014);
  EXPECT_LT(dependent, independent);
  EXPECT_NEAR(uncorrected / double(trials), 0.265, 0.03);
}

TEST(GeometricMean, IsTheRootOfTheProduct) {
  EXPECT_NEAR(geometric_mean(Values{1, 4}), 2, 1e-15);
  EXPECT_NEAR(geometric_mean(Values{0.5, 2, 8}), 2, 1e-15);
  EXPECT_TRUE(std::isnan(geometric_mean(Values{})));
}

TEST(Judge, FlagsOnlySignificantChangesBeyondTheThreshold) {
  const Values base{100, 101, 102, 103, 104}, far{120, 121, 122, 123, 124},
      near{104.5, 104.6, 104.7, 104.8, 104.9};
  using enum Direction;
  EXPECT_EQ(judge(base, far, lower_is_better, 5), Verdict::worse);
  EXPECT_EQ(judge(far, base, lower_is_better, 5), Verdict::better);
  EXPECT_EQ(judge(base, far, higher_is_better, 5), Verdict::better);
  EXPECT_EQ(judge(base, far, lower_is_better, 50), Verdict::same) << "significant, but within the threshold";
  EXPECT_EQ(judge(base, near, lower_is_better, 5), Verdict::same) << "significant, but within the threshold";
  EXPECT_EQ(judge(Values{90, 130, 95, 140, 100}, Values{135, 92, 128, 97, 138}, lower_is_better, 5),
            Verdict::same)
      << "beyond the threshold, but not significant";
  EXPECT_EQ(judge(Values{1, 2, 3, 4}, Values{10, 11, 12, 13, 14}, lower_is_better, 0), Verdict::inconclusive);
  EXPECT_EQ(judge(base, Values{1, 2, 3, 4, NAN}, lower_is_better, 5), Verdict::incomparable);
}

/// The same configuration against itself: at most about 5 % of comparisons may be flagged even without a
/// threshold.
TEST(Judge, SeldomFlagsARunAgainstItself) {
  std::mt19937 random(3);
  std::lognormal_distribution<double> seconds(0, 0.3);
  int flagged = 0, beyond = 0;
  constexpr int trials = 2000;
  for (int t = 0; t < trials; ++t) {
    Values a(6), b(6);
    for (auto* side : {&a, &b})
      for (auto& v : *side)
        v = seconds(random);
    flagged += judge(a, b, Direction::lower_is_better, 0) != Verdict::same;
    beyond += judge(a, b, Direction::lower_is_better, 0.5) != Verdict::same;
  }
  // The exact level of six against six is 4.11 %; four standard deviations of 2,000 draws are 1.8 %.
  EXPECT_NEAR(flagged / double(trials), 0.0411, 0.018);
  EXPECT_LT(beyond, flagged);
}

}  // namespace
}  // namespace partita::results
