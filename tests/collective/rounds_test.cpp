/// Rounds run over virtual ranks: every all-reduce sums on every rank, and ends.
#include <gtest/gtest.h>

#include "virtual_ranks.hpp"

namespace partita::collective {
namespace {

/// Whether the rounds sum the buffers on every rank.
bool sums(std::vector<Rounds> all, int p, std::int64_t n, bool in_window) {
  std::vector<Buffer> buffers;
  for (int r = 0; r < p; ++r) {
    buffers.emplace_back();
    for (std::int64_t i = 0; i < n; ++i)
      buffers.back().push_back((r + 1) * (i + 1));
  }
  const auto results = Virtual(std::move(all), std::move(buffers), in_window).run();
  if (!results) return false;
  for (const auto& result : *results)
    for (std::int64_t i = 0; i < n; ++i)
      if (result[static_cast<std::size_t>(i)] != p * (p + 1) / 2 * (i + 1)) return false;
  return true;
}

TEST(Rounds, AllReduceSumsOnEveryRankForAnyNumberOfRanks) {
  for (const auto& [name, generate] : all_reduces())
    for (int p = 1; p <= 17; ++p)
      for (const auto n : sizes(p))
        EXPECT_TRUE(sums(rounds_of_all(generate, p, n), p, n, name == "direct window"))
            << name << " p " << p << " n " << n;
}

TEST(Rounds, AMissingRoundIsCaught) {
  for (const auto& [name, generate] : all_reduces())
    for (const int p : {2, 3, 5, 8}) {
      auto all = rounds_of_all(generate, p, 64);
      for (auto& rounds : all)
        if (!rounds.empty()) rounds.pop_back();
      if (name == "direct window") continue;  // its last round only waits
      EXPECT_FALSE(sums(all, p, 64, false)) << name << " p " << p;
    }
}

TEST(Rounds, OfMessagesEndWhereNoSendIsBuffered) {
  const auto is_message = [](const Round& round) { return std::holds_alternative<MessageRound>(round); };
  for (const auto& [name, generate] : all_reduces())
    for (int p = 1; p <= 17; ++p)
      for (const auto n : sizes(p)) {
        const auto all = rounds_of_all(generate, p, n);
        if (std::ranges::all_of(
                all, [&](const auto& rounds) { return std::ranges::all_of(rounds, is_message); })) {
          EXPECT_TRUE(Rendezvous(all).run()) << name << " p " << p << " n " << n;
        }
      }
}

TEST(Rounds, OfADoubleTreeTakeTheTimeOfTwiceTheVectorAndAFewChunks) {
  constexpr std::int64_t chunk = 10, chunks = 64, n = 2 * chunks * chunk;
  for (int p = 3; p <= 17; ++p) {
    int levels = 0;
    while ((2 << levels) < p)
      ++levels;
    std::vector<Rounds> all;
    for (int r = 0; r < p; ++r)
      all.push_back(double_tree_all_reduce(p, r, n, Combine::sum, chunk));
    const auto time = Rendezvous(all).run();
    ASSERT_TRUE(time);
    EXPECT_LE(*time, 2 * n + 4 * levels * chunk) << "p " << p;
  }
}

/// By the algorithm, on all ranks of one node, in its window where it uses one.
std::vector<Rounds> of_all_ranks(Spec spec, int p, bool in_window) {
  std::vector<Rounds> all;
  for (int r = 0; r < p; ++r)
    all.push_back(rounds_of(
        spec, {.rank = r, .node_of = std::vector<int>(static_cast<std::size_t>(p)), .in_window = in_window}));
  return all;
}

/// As floating-point sums: the order of the operands does not matter, that of the operations does.
long rounded_sum(long a, long b) { return (a * b + 1) % 1'000'003; }

std::vector<Buffer> numbers(int p, std::int64_t n) {
  std::vector<Buffer> buffers;
  for (int r = 0; r < p; ++r) {
    buffers.emplace_back();
    for (std::int64_t i = 0; i < n; ++i)
      buffers.back().push_back(1 + (r * 7919 + i * 104'729) % 9973);
  }
  return buffers;
}

TEST(Rounds, AReduceScatterAddsAsTheAllReduceThatItIsLike) {
  int seen = 0;
  for (const auto algorithm : algorithms())
    for (const bool in_window : {false, true}) {
      if (scatter_like(algorithm) != algorithm || (in_window && algorithm != Algorithm::window)) continue;
      ++seen;
      for (int p = 1; p <= 17; ++p)
        for (const auto n : sizes(p)) {
          Spec spec{.algorithm = algorithm, .elements = n, .cuts = even_cuts(p, n)};
          const auto whole =
              Virtual(of_all_ranks(spec, p, in_window), numbers(p, n), in_window, rounded_sum).run();
          spec.operation = Operation::reduce_scatter;
          const auto shares =
              Virtual(of_all_ranks(spec, p, in_window), numbers(p, n), in_window, rounded_sum).run();
          ASSERT_TRUE(whole && shares) << to_string(algorithm) << " p " << p << " n " << n;
          for (std::size_t r = 0; r < shares->size(); ++r)
            for (auto i = spec.cuts[r]; i < spec.cuts[r + 1]; ++i)
              EXPECT_EQ((*shares)[r][static_cast<std::size_t>(i)], (*whole)[r][static_cast<std::size_t>(i)])
                  << to_string(algorithm) << " p " << p << " n " << n << " rank " << r;
        }
    }
  EXPECT_EQ(seen, 5) << "ring, recursive doubling, halving-doubling, window of either kind";
  EXPECT_EQ(scatter_like(Algorithm::double_tree), Algorithm::ring);
}

TEST(Rounds, AnAllGatherGivesAllRanksAllShares) {
  for (const auto algorithm : {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::window})
    for (int p = 1; p <= 17; ++p)
      for (const auto n : sizes(p)) {
        const bool in_window = algorithm == Algorithm::window;
        const Spec spec{.operation = Operation::all_gather,
                        .algorithm = algorithm,
                        .elements = n,
                        .cuts = even_cuts(p, n)};
        const auto all = of_all_ranks(spec, p, in_window);
        if (!in_window) {
          EXPECT_TRUE(Rendezvous(all).run()) << to_string(algorithm) << " p " << p;
        }
        const auto gathered = Virtual(all, numbers(p, n), in_window).run();
        ASSERT_TRUE(gathered) << to_string(algorithm) << " p " << p << " n " << n;
        const auto brought = numbers(p, n);
        for (const auto& of_rank : *gathered)
          for (std::size_t from = 0; from < brought.size(); ++from)
            for (auto i = spec.cuts[from]; i < spec.cuts[from + 1]; ++i)
              EXPECT_EQ(of_rank[static_cast<std::size_t>(i)], brought[from][static_cast<std::size_t>(i)]);
      }
}

TEST(Rounds, OfAReduceScatterEndWhereNoSendIsBuffered) {
  for (const auto algorithm : {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::halving_doubling})
    for (int p = 1; p <= 17; ++p)
      for (const auto n : sizes(p)) {
        const Spec spec{.operation = Operation::reduce_scatter,
                        .algorithm = algorithm,
                        .elements = n,
                        .cuts = even_cuts(p, n)};
        const auto all = of_all_ranks(spec, p, false);
        EXPECT_TRUE(Rendezvous(all).run()) << to_string(algorithm) << " p " << p;
      }
}

}  // namespace
}  // namespace partita::collective
