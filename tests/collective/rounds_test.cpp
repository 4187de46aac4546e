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

}  // namespace
}  // namespace partita::collective
