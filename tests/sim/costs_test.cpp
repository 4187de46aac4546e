/// What transfers cost by rates: their rounds and bytes, worked out by hand for a byte a second and a second
/// a round.
#include "partita/sim/costs.hpp"

#include <gtest/gtest.h>

namespace partita::sim {
namespace {

using collective::Algorithm;
using collective::Operation;
using step::Elements;
using topology::Axis;

/// Seconds of an all-reduce of nine floats over the data axis on `rank`.
double all_reduce_seconds(Algorithm algorithm, int ranks, int rank, const step::Site& site = {}) {
  const step::Program program{.grid = {.data = ranks},
                              .slots = {{.fixed = Elements(9), .in_window = true}},
                              .transfers = {{.slot = step::SlotId(0)}},
                              .all_reduces = {.algorithm = algorithm}};
  const step::ProgramsByRank programs(static_cast<std::size_t>(ranks), &program);
  static constexpr machine::Machine machine{.link_latency_seconds = 1, .link_bytes_per_second = 1};
  return costs_on(machine, programs, 1, site).transfer_seconds(rank, program.transfers.front());
}

TEST(Costs, AnAllReduceCostsTheRoundsOfItsAlgorithm) {
  // Shares of three: 2·2 rounds that send three floats each.
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Algorithm::ring, 3, 0), 4 + 4 * 12);
  // Nine floats twice, to the neighbour and to the pair beside it.
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Algorithm::recursive_doubling, 4, 0), 2 + 2 * 36);
  // The first of three gives all it has and gets all back; the last takes part in the one round of two.
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Algorithm::recursive_doubling, 3, 0), 2 + 36);
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Algorithm::recursive_doubling, 3, 2), 1 + 36);
  // In the window of the data axis: loads two others' share of three, stores it to both; then all have come.
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Algorithm::window, 3, 0), 2 + 2 * 12 + 2 * 12);
}

TEST(Costs, WhatTheTableChoosesIsWhatCosts) {
  std::vector<base::Violation> violations;
  const step::Site apart{
      .node_of = {0, 1, 2},
      .table = collective::AlgorithmTable::parse("reach=window ranks=2 bytes=any algorithm=window\n"
                                                 "reach=node ranks=2 bytes=any algorithm=window\n"
                                                 "reach=mixed ranks=2 bytes=any algorithm=ring\n"
                                                 "reach=spread ranks=2 bytes=any algorithm=ring\n",
                                                 violations)};
  ASSERT_TRUE(violations.empty());
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Algorithm::automatic, 3, 0, apart),
                   all_reduce_seconds(Algorithm::ring, 3, 0, apart));
  const step::Site together{.node_of = {0, 0, 0}, .table = apart.table};
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Algorithm::automatic, 3, 0, together),
                   all_reduce_seconds(Algorithm::window, 3, 0, together));
}

TEST(Costs, AMessageCostsItsBytesOnce) {
  const step::Program program{.grid = {.pipeline = 2},
                              .slots = {{.per_sample = Elements(5)}},
                              .transfers = {{.operation = Operation::send,
                                             .axis = Axis::pipeline,
                                             .microbatch = step::MicrobatchId(0),
                                             .slot = step::SlotId(0),
                                             .peer = 1}}};
  static constexpr machine::Machine machine{.link_latency_seconds = 1, .link_bytes_per_second = 1};
  const step::ProgramsByRank programs(2, &program);
  const auto costs = costs_on(machine, programs, 3, {});
  EXPECT_DOUBLE_EQ(costs.transfer_seconds(0, program.transfers.front()), 1 + 3 * 5 * 4);
}

}  // namespace
}  // namespace partita::sim
