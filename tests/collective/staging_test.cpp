/// What rounds copy between a device and the host, against plain arithmetic.
#include "partita/collective/staging.hpp"

#include <gtest/gtest.h>

#include "partita/collective/spec.hpp"

namespace partita::collective {
namespace {

constexpr int ranks[] = {1, 2, 3, 4, 5, 7, 8};
constexpr std::int64_t sizes[] = {0, 1, 2, 3, 7, 8, 100};

struct Copied {
  std::vector<int> fetched, stored;  ///< by element, how often
  bool in_time = true;               ///< each range was on the host when a round read it
};

/// Follows rounds that are messages, in place.
Copied follow(const Rounds& rounds, std::int64_t n) {
  const auto staged = staging_of(rounds, n, true);
  Copied copied{std::vector<int>(static_cast<std::size_t>(n)), std::vector<int>(static_cast<std::size_t>(n))};
  std::vector<bool> on_host(static_cast<std::size_t>(n)), clean(static_cast<std::size_t>(n), true);
  const auto each = [](const Range& range, auto visit) {
    for (auto i = range.begin; i < range.end; ++i)
      visit(static_cast<std::size_t>(i));
  };
  for (std::size_t r = 0; r < rounds.size(); ++r) {
    const auto& round = std::get<MessageRound>(rounds[r]);
    for (const auto& range : staged[r].fetch)
      each(range, [&](auto i) { ++copied.fetched[i], on_host[i] = true; });
    if (round.send_to >= 0) each(round.send, [&](auto i) { copied.in_time &= on_host[i]; });
    if (round.receive_from >= 0) {
      if (round.combine != Combine::copy) each(round.receive, [&](auto i) { copied.in_time &= on_host[i]; });
      each(round.receive, [&](auto i) { on_host[i] = true, clean[i] = false; });
    }
    for (const auto& range : staged[r].store)
      each(range, [&](auto i) { ++copied.stored[i], clean[i] = true; });
  }
  for (const bool element : clean)
    copied.in_time &= element;  // what was written last has come to the device
  return copied;
}

TEST(Staging, OfARingAllReduceCopiesEveryElementOnceEachWay) {
  for (const int p : ranks)
    for (const auto n : sizes)
      for (int rank = 0; rank < p; ++rank) {
        const auto rounds = ring_all_reduce(p, rank, even_cuts(p, n), Combine::sum);
        const auto copied = follow(rounds, n);
        EXPECT_TRUE(copied.in_time);
        const std::vector<int> once(static_cast<std::size_t>(n), p > 1 ? 1 : 0);
        EXPECT_EQ(copied.fetched, once) << p << " ranks, " << n;
        EXPECT_EQ(copied.stored, once) << p << " ranks, " << n;
        EXPECT_EQ(staged_elements(staging_of(rounds, n, true)).value(), p > 1 ? 2 * n : 0);
      }
}

TEST(Staging, OfARingOverlapsCopiesWithRounds) {
  const auto staged = staging_of(ring_all_reduce(4, 0, even_cuts(4, 100), Combine::sum), 100, true);
  std::int64_t first = 0;
  for (const auto& range : staged.front().fetch)
    first += range.size();
  EXPECT_EQ(first, 50) << "the first round needs what it sends and what it adds to, no more";
}

TEST(Staging, OfADoubleTreeCopiesEveryElementOnceEachWay) {
  for (const int p : {2, 3, 5, 8})
    for (const auto n : sizes)
      for (int rank = 0; rank < p; ++rank) {
        const auto rounds = double_tree_all_reduce(p, rank, n, Combine::sum, 3);
        const auto copied = follow(rounds, n);
        const std::vector<int> once(static_cast<std::size_t>(n), 1);
        EXPECT_TRUE(copied.in_time) << p << " ranks, " << n;
        EXPECT_EQ(copied.fetched, once) << p << " ranks, " << n;
        EXPECT_EQ(copied.stored, once) << p << " ranks, " << n;
      }
}

/// Of all algorithms that send messages alone, and of the other operations that work in place.
std::vector<Rounds> all_messages(int p, int rank, std::int64_t n) {
  std::vector<Rounds> all{ring_reduce_scatter(p, rank, even_cuts(p, n), Combine::sum),
                          recursive_doubling_reduce_scatter(p, rank, even_cuts(p, n), Combine::sum),
                          halving_doubling_reduce_scatter(p, rank, even_cuts(p, n), Combine::sum),
                          ring_all_gather(p, rank, even_cuts(p, n)), binomial_broadcast(p, rank, p / 2, n)};
  for (const auto algorithm : algorithms())
    if (is_candidate(algorithm, Reach::spread))
      all.push_back(rounds_of({.algorithm = algorithm, .elements = n},
                              {.rank = rank, .node_of = std::vector<int>(static_cast<std::size_t>(p))}));
  return all;
}

TEST(Staging, OfEveryAlgorithmIsInTimeAndCopiesNothingTwice) {
  for (const int p : ranks)
    for (const auto n : sizes)
      for (int rank = 0; rank < p; ++rank)
        for (const auto& rounds : all_messages(p, rank, n)) {
          const auto copied = follow(rounds, n);
          EXPECT_TRUE(copied.in_time) << p << ' ' << rank << ' ' << n;
          for (const int times : copied.fetched)
            EXPECT_LE(times, 1);
          for (const int times : copied.stored)
            EXPECT_LE(times, 1);
        }
}

/// A rank that sends nothing may get something all the same.
TEST(Staging, OfAnAllToAllFetchesWhatIsSentAndStoresWhatIsReceived) {
  const std::vector<std::int64_t> sends{0, 0, 0}, receives{0, 5, 5};
  const auto staged = staging_of(pairwise_all_to_all(2, 1, sends, receives), 0, false);
  std::int64_t stored = 0;
  for (const auto& round : staged) {
    EXPECT_TRUE(round.fetch.empty());
    for (const auto& range : round.store)
      stored += range.size();
  }
  EXPECT_EQ(stored, 5);
}

TEST(Staging, OfADirectWindowIsTheWholeBufferBeforeAndAfter) {
  for (const int p : {2, 3, 4}) {
    const auto rounds = direct_window_all_reduce(p, 0, 100, Combine::sum);
    const auto staged = staging_of(rounds, 100, true);
    EXPECT_EQ(staged.front().fetch, (std::vector<Range>{{0, 100}}));
    EXPECT_EQ(staged.back().store, (std::vector<Range>{{0, 100}}));
  }
}

TEST(Staging, OfHalvesOfADirectWindowIsWhatOthersLoadBeforeAndWhatIsLoadedAfter) {
  const std::vector<std::int64_t> cuts{0, 30, 60, 100};
  const auto scattered = staging_of(direct_window_reduce_scatter(3, 1, cuts, Combine::sum), 100, true);
  EXPECT_EQ(scattered.front().fetch, (std::vector<Range>{{0, 100}}));
  EXPECT_EQ(scattered.front().store, (std::vector<Range>{{30, 60}}));
  const auto gathered = staging_of(direct_window_all_gather(3, 1, cuts), 100, true);
  std::int64_t fetched = 0, stored = 0;
  for (const auto& range : gathered.front().fetch)
    fetched += range.size();
  for (const auto& range : gathered.front().store)
    stored += range.size();
  EXPECT_EQ(stored, 70);
  EXPECT_EQ(fetched, 30);
}

}  // namespace
}  // namespace partita::collective
