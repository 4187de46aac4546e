/// The order of an epoch is a permutation that only (seed, epoch, number of samples) decide.

#include "partita/data/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "partita/base/error.hpp"

namespace partita::data {
namespace {

using kernels::Samples;

std::vector<std::int64_t> order_of(std::int64_t n, std::uint64_t seed, std::int64_t epoch) {
  Sampler sampler({.samples = Samples(n), .seed = seed, .shuffle = true});
  const auto order = sampler.order(epoch);
  return {order.begin(), order.end()};
}

std::vector<std::int64_t> counting(std::int64_t n) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(Sampler, EveryEpochIsAPermutation) {
  for (const std::int64_t n : {0, 1, 2, 3, 10, 64, 60000}) {
    for (const std::int64_t epoch : {0, 1, 7}) {
      auto order = order_of(n, 5, epoch);
      std::sort(order.begin(), order.end());
      EXPECT_EQ(order, counting(n)) << n;
    }
  }
}

TEST(Sampler, DependsOnSeedAndEpochOnly) {
  EXPECT_NE(order_of(1000, 1, 0), order_of(1000, 1, 1));
  EXPECT_NE(order_of(1000, 1, 0), order_of(1000, 2, 0));
  Sampler used({.samples = Samples(1000), .seed = 1, .shuffle = true});
  used.order(4);
  used.order(2);
  const auto again = used.order(1);
  EXPECT_EQ(std::vector<std::int64_t>(again.begin(), again.end()), order_of(1000, 1, 1))
      << "history must not matter";
}

TEST(Sampler, WithoutShuffleCounts) {
  Sampler sampler({.samples = Samples(17), .seed = 3, .shuffle = false});
  for (const std::int64_t epoch : {0, 1, 5}) {
    const auto order = sampler.order(epoch);
    EXPECT_EQ(std::vector<std::int64_t>(order.begin(), order.end()), counting(17));
  }
}

/// Shares cut from the common order cover each sample of an epoch exactly once, on any number of ranks.
TEST(Sampler, SharesOfAnyGridCoverAnEpochOnce) {
  constexpr std::int64_t n = 103, batch = 10;
  const auto order = order_of(n, 9, 3);
  for (const std::int64_t ranks : {1, 2, 3, 4, 7, 11}) {
    std::vector<std::int64_t> seen;
    for (std::int64_t first = 0; first < n; first += batch) {
      const auto size = std::min(batch, n - first);
      for (std::int64_t r = 0; r < ranks; ++r)
        for (auto i = first + r * size / ranks; i < first + (r + 1) * size / ranks; ++i)
          seen.push_back(order[static_cast<std::size_t>(i)]);
    }
    EXPECT_EQ(seen, order) << ranks << " ranks";
  }
}

/// Each of the 24 orders of four samples appears about equally often: χ² with 23 degrees of freedom stays
/// below its 99.99 % quantile of 57.
TEST(Sampler, OrdersAreEquallyLikely) {
  Sampler sampler({.samples = Samples(4), .seed = 11, .shuffle = true});
  constexpr int epochs = 24000;
  std::vector<int> count(4 * 4 * 4 * 4);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const auto order = sampler.order(epoch);
    ++count[static_cast<std::size_t>(order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3])];
  }
  double chi = 0;
  int orders = 0;
  for (const auto n : count) {
    if (n == 0) continue;
    ++orders;
    chi += std::pow(n - epochs / 24.0, 2) / (epochs / 24.0);
  }
  EXPECT_EQ(orders, 24);
  EXPECT_LT(chi, 57);
}

TEST(Sampler, RefusesImpossibleEpochs) {
  Sampler sampler({.samples = Samples(4)});
  EXPECT_THROW(sampler.order(-1), base::ContractError);
  EXPECT_THROW(sampler.order(std::int64_t{1} << 32), base::ContractError);
  EXPECT_THROW(Sampler({.samples = Samples(-1)}), base::ContractError);
}

}  // namespace
}  // namespace partita::data
