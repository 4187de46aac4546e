/// Which algorithm an all-reduce takes, and that every one has a word, rounds and bytes wherever it is
/// possible.
#include "partita/collective/spec.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "partita/collective/algorithm_table.hpp"

namespace partita::collective {
namespace {

/// Four ranks, `a_node` of them on each node.
Place four_ranks(int a_node) {
  Place at{.rank = 1, .node_of = {}};
  for (int r = 0; r < 4; ++r)
    at.node_of.push_back(r / a_node);
  return at;
}

AlgorithmTable table() {
  std::vector<base::Violation> violations;
  auto parsed = AlgorithmTable::parse(
      "reach=window ranks=4 bytes=any algorithm=window\n"
      "reach=node ranks=4 bytes=99 algorithm=recursive-doubling\nreach=node ranks=4 bytes=any algorithm=mpi\n"
      "reach=mixed ranks=4 bytes=any algorithm=hierarchical\nreach=spread ranks=4 bytes=any algorithm=ring\n",
      violations);
  EXPECT_TRUE(violations.empty());
  return parsed;
}

TEST(Choose, WhatIsNamedIsTakenWhereverRanksStand) {
  for (const auto algorithm : algorithms())
    for (const int a_node : {1, 2, 4})
      EXPECT_EQ(choose({.algorithm = algorithm}, four_ranks(a_node), Bytes(8), table()), algorithm);
}

TEST(Choose, NearestFirstIsRecursiveDoublingWhateverIsAsked) {
  auto reached = four_ranks(4);
  reached.reached = true;
  for (const auto algorithm : {Algorithm::automatic, Algorithm::ring, Algorithm::window})
    for (const auto& at : {four_ranks(4), reached})
      EXPECT_EQ(choose({.algorithm = algorithm, .nearest_first = true}, at, Bytes(8), table()),
                Algorithm::recursive_doubling);
}

TEST(Choose, AutoIsTheWindowAmongReachedBuffersAndTheTableElsewhere) {
  auto at = four_ranks(4);
  EXPECT_EQ(choose({}, at, Bytes(99), table()), Algorithm::recursive_doubling);
  EXPECT_EQ(choose({}, at, Bytes(100), table()), Algorithm::mpi);
  at.in_window = true;
  EXPECT_EQ(choose({}, at, Bytes(100), table()), Algorithm::window);
  at = four_ranks(4);
  at.reached = true;
  EXPECT_EQ(choose({}, at, Bytes(100), table()), Algorithm::window);
  EXPECT_EQ(choose({}, four_ranks(2), Bytes(1), table()), Algorithm::hierarchical);
  EXPECT_EQ(choose({}, four_ranks(1), Bytes(1), table()), Algorithm::ring);
}

TEST(Algorithms, HaveAWordAndAPlace) {
  for (const auto algorithm : algorithms()) {
    EXPECT_EQ(parse_algorithm(to_string(algorithm)), algorithm);
    EXPECT_TRUE(std::ranges::any_of(all_reaches, [&](Reach reach) { return is_candidate(algorithm, reach); }))
        << to_string(algorithm);
  }
  EXPECT_EQ(parse_algorithm("auto"), Algorithm::automatic);
  EXPECT_EQ(parse_algorithm("rings"), std::nullopt);
  EXPECT_FALSE(is_candidate(Algorithm::automatic, Reach::node)) << "a table names what it stands for";
}

TEST(RoundsOf, ANameThatStandsForAnotherOrAWindowOfSeveralNodesIsABrokenContract) {
  EXPECT_THROW(static_cast<void>(rounds_of({.algorithm = Algorithm::automatic}, four_ranks(4))),
               base::ContractError);
  EXPECT_THROW(static_cast<void>(rounds_of({.algorithm = Algorithm::window}, four_ranks(2))),
               base::ContractError);
}

/// So that one of them says how large the slots of all are.
TEST(RoundsOf, StageAsMuchOnAllRanksOfANode) {
  for (const auto algorithm : algorithms())
    for (const auto& nodes : {std::vector{0, 0, 0, 0, 0}, {0, 0, 1, 1, 1}, {0, 1, 1, 0, 2}, {0, 0}, {0}})
      for (const std::int64_t n : {0, 1, 4, 1000, 300'000})
        for (const bool in_window : {false, true}) {
          Place at{.rank = 0, .node_of = nodes, .in_window = in_window};
          if (!is_candidate(algorithm, reach_of(at)) || algorithm == Algorithm::mpi) continue;
          const Spec spec{.algorithm = algorithm, .elements = n};
          std::map<int, std::optional<std::int64_t>> of_node;
          for (at.rank = 0; at.rank < at.ranks(); ++at.rank) {
            const auto staged = memory_of(rounds_of(spec, at)).staged;
            const auto first = of_node.try_emplace(nodes[static_cast<std::size_t>(at.rank)], staged).first;
            EXPECT_EQ(staged, first->second) << to_string(algorithm) << " " << n << " rank " << at.rank;
          }
        }
}

/// Peers read at the same time what a round sends: what it adds up meanwhile must lie elsewhere.
TEST(RoundsOf, OnSharedBuffersNeverChangeWhatTheySend) {
  for (const auto algorithm : algorithms())
    for (int p = 1; works_on_shared(algorithm) && p <= 17; ++p)
      for (const std::int64_t n : {0, 1, p - 1, p, p + 1, 101})
        for (int rank = 0; rank < p; ++rank)
          for (const auto& round : rounds_of({.algorithm = algorithm, .elements = n},
                                             {.rank = rank,
                                             .node_of = std::vector<int>(static_cast<std::size_t>(p)),
                                             .reached = true})) {
            const auto* const message = std::get_if<MessageRound>(&round);
            if (!message || message->send_to < 0 || message->receive_from < 0) continue;
            EXPECT_TRUE(message->send.empty() || message->receive.empty() ||
                        message->send.end <= message->receive.begin ||
                        message->receive.end <= message->send.begin)
                << to_string(algorithm) << " p " << p << " n " << n << " rank " << rank;
          }
}

TEST(TrafficOf, AMessageIsSentOrLoadedByItsReceiver) {
  const Spec send{.operation = Operation::send, .elements = 5, .peer = 2};
  const Spec receive{.operation = Operation::receive, .elements = 5, .peer = 0};
  auto at = four_ranks(4);
  EXPECT_EQ(traffic_of(send, at).wire_bytes.value(), 20);
  EXPECT_EQ(traffic_of(receive, at).wire_bytes_received.value(), 20);
  at.reached = true;
  EXPECT_EQ(traffic_of(send, at).wire_bytes.value(), 0);
  EXPECT_EQ(traffic_of(receive, at).wire_bytes_received.value(), 0);
  EXPECT_EQ(traffic_of(receive, at).window_bytes_read.value(), 20);
}

TEST(TrafficOf, AVendorsIsModelledAndTheWindowsDependsOnWhereTheBufferLies) {
  auto at = four_ranks(4);
  const auto vendors = traffic_of({.algorithm = Algorithm::mpi, .elements = 1000}, at);
  EXPECT_EQ(vendors.modelled_wire_bytes->value(), 2 * 3 * 1000);
  EXPECT_EQ(vendors.wire_bytes.value() + vendors.messages, 0);
  const Spec window{.algorithm = Algorithm::window, .elements = 4000};
  EXPECT_EQ(traffic_of(window, at).window_bytes_read.value(), 2 * 3 * 1000 * 4);
  EXPECT_EQ(traffic_of(window, at).window_bytes_written.value(), 0);
  at.in_window = true;
  EXPECT_EQ(traffic_of(window, at).window_bytes_read.value(), 3 * 1000 * 4);
  EXPECT_EQ(traffic_of(window, at).window_bytes_written.value(), 3 * 1000 * 4);
}

TEST(Nodes, AreNumberedInOrderOfTheirFirstRanks) {
  const int nodes[] = {7, 3, 7, 0, 3};
  EXPECT_EQ(numbered_nodes(nodes), (std::vector{0, 1, 0, 2, 1}));
}

}  // namespace
}  // namespace partita::collective
