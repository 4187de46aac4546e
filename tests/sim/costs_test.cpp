/// What transfers take on a machine of a byte a second and a second a message: their rounds, worked out by
/// hand.
#include <gtest/gtest.h>

#include "grid_programs.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {
namespace {

using collective::Algorithm;
using collective::Operation;
using step::Elements;
using step::Kind;
using topology::Axis;

const machine::Machine slow{.link_latency_seconds = 1, .link_bytes_per_second = 1};

/// When each rank of the data axis has the sum of nine floats that all start to add up at 0.
std::vector<Picoseconds> ends_of_all_reduce(Algorithm algorithm, int ranks, const step::Site& site = {}) {
  const step::Program program{.grid = {.data = ranks},
                              .slots = {{.fixed = Elements(9), .in_window = true}},
                              .transfers = {{.slot = step::SlotId(0)}},
                              .all_reduces = {.algorithm = algorithm},
                              .instructions = {{.kind = Kind::start, .transfer = step::TransferId(0)},
                                               {.kind = Kind::wait, .transfer = step::TransferId(0)}}};
  const step::ProgramsByRank programs(static_cast<std::size_t>(ranks), &program);
  const auto simulation = simulate(programs, costs_on(slow, programs, 1, site), 1);
  std::vector<Picoseconds> ends;
  for (const auto& rank : simulation.steps[0])
    ends.push_back(rank.end);
  return ends;
}

std::vector<Picoseconds> all_seconds(std::initializer_list<double> of) {
  std::vector<Picoseconds> all;
  for (const double s : of)
    all.push_back(seconds(s));
  return all;
}

TEST(Costs, AnAllReduceTakesTheRoundsOfItsAlgorithm) {
  // Shares of three: 2·2 rounds that send three floats each.
  EXPECT_EQ(ends_of_all_reduce(Algorithm::ring, 3), all_seconds({52, 52, 52}));
  // Nine floats twice, to the neighbour and to the pair beside it.
  EXPECT_EQ(ends_of_all_reduce(Algorithm::recursive_doubling, 4), all_seconds({74, 74, 74, 74}));
  // The first of three gives the second all it has; when that has come, so has what the third sent, and the
  // second tells both.
  EXPECT_EQ(ends_of_all_reduce(Algorithm::recursive_doubling, 3), all_seconds({74, 37, 74}));
  // In the window of the data axis: loads its share of three from three, stores it to two others; then all
  // have come.
  EXPECT_EQ(ends_of_all_reduce(Algorithm::window, 3), all_seconds({62, 62, 62}));
}

TEST(Costs, WhatTheTableChoosesIsWhatRuns) {
  std::vector<base::Violation> violations;
  const step::Site apart{
      .node_of = {0, 1, 2},
      .table = collective::AlgorithmTable::parse("reach=window ranks=2 bytes=any algorithm=window\n"
                                                 "reach=node ranks=2 bytes=any algorithm=window\n"
                                                 "reach=mixed ranks=2 bytes=any algorithm=ring\n"
                                                 "reach=spread ranks=2 bytes=any algorithm=ring\n",
                                                 violations)};
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(ends_of_all_reduce(Algorithm::automatic, 3, apart),
            ends_of_all_reduce(Algorithm::ring, 3, apart));
  const step::Site together{.node_of = {0, 0, 0}, .table = apart.table};
  EXPECT_EQ(ends_of_all_reduce(Algorithm::automatic, 3, together),
            ends_of_all_reduce(Algorithm::window, 3, together));
}

TEST(Costs, AMessageTakesItsBytesOnce) {
  const step::Program program{.grid = {.pipeline = 2},
                              .slots = {{.per_sample = Elements(5)}},
                              .transfers = {{.operation = Operation::send,
                                             .axis = Axis::pipeline,
                                             .microbatch = step::MicrobatchId(0),
                                             .slot = step::SlotId(0),
                                             .peer = 1}}};
  const step::ProgramsByRank programs(2, &program);
  const auto rounds = costs_on(slow, programs, 3, {}).rounds(0, program.transfers.front());
  ASSERT_EQ(rounds.size(), 1U);
  const auto& message = std::get<TimedMessages>(rounds.front());
  EXPECT_EQ(message.send_to, 1);
  EXPECT_EQ(message.sent.latency, seconds(1));
  EXPECT_EQ(message.sent.bytes, seconds(3 * 5 * 4));
}

/// A level of two ranks whose messages cost their sender and their receiver time, from 40 bytes on by
/// rendezvous.
machine::Machine with_protocols(machine::Progress progress) {
  machine::Machine machine = slow;
  machine.levels = {{.name = "node",
                     .ranks = 2,
                     .protocols = {{.send_seconds = 2,
                                    .send_byte_seconds = 0.25,
                                    .latency_seconds = 1,
                                    .byte_seconds = 1,
                                    .receive_seconds = 3,
                                    .receive_byte_seconds = 0.5},
                                   {.min_bytes = kernels::Bytes(40),
                                    .send_seconds = 5,
                                    .latency_seconds = 10,
                                    .byte_seconds = 0.5,
                                    .receive_seconds = 7,
                                    .rendezvous = true}}}};
  machine.progress = progress;
  return machine;
}

/// Two stages: the first works for `first` seconds, sends `elements` floats, works for ten and waits; the
/// second posts its receive after `second` seconds, works for ten and waits. When each begins and ends to
/// wait.
struct Waits {
  std::vector<Picoseconds> sender, receiver;
};
Waits waits_of(std::int64_t elements, double first, double second, machine::Progress progress) {
  const auto program = [&](Operation operation, int peer) {
    return step::Program{.grid = {.pipeline = 2},
                         .slots = {{.fixed = Elements(elements)}},
                         .transfers = {{.operation = operation,
                                        .axis = Axis::pipeline,
                                        .slot = step::SlotId(0),
                                        .peer = peer,
                                        .tag = 1}},
                         .instructions = {{.kind = Kind::forward, .microbatch = step::MicrobatchId(0)},
                                          {.kind = Kind::start, .transfer = step::TransferId(0)},
                                          {.kind = Kind::forward, .microbatch = step::MicrobatchId(1)},
                                          {.kind = Kind::wait, .transfer = step::TransferId(0)}}};
  };
  const auto sender = program(Operation::send, 1), receiver = program(Operation::receive, 0);
  const step::ProgramsByRank both{&sender, &receiver};
  const auto machine = with_protocols(progress);
  auto costs = costs_on(machine, both, 1, {});
  costs.instruction = [&](int rank, const step::Instruction& i) {
    return seconds(i.microbatch->value() == 1 ? 10 : rank == 0 ? first : second);
  };
  const auto step = simulate(both, costs, 1).steps[0];
  const auto times = [](const RankStep& rank) {
    return std::vector{rank.instructions[3].begin, rank.instructions[3].end};
  };
  return {times(step[0]), times(step[1])};
}

/// Eight floats: 10 s to hand over, 33 s on the way, 19 s to take.
TEST(Costs, AnEagerMessageLeavesAtOnce) {
  const auto by_itself = waits_of(8, 1, 2, machine::Progress::independent);
  EXPECT_EQ(by_itself.sender, all_seconds({11, 11}));
  EXPECT_EQ(by_itself.receiver, all_seconds({12, 1 + 10 + 33 + 19}));
  // The sender's core hands it over before it works on.
  const auto by_core = waits_of(8, 1, 2, machine::Progress::polled);
  EXPECT_EQ(by_core.sender, all_seconds({21, 21}));
  EXPECT_EQ(by_core.receiver, all_seconds({12, 1 + 10 + 33 + 19}));
  // A message that came while the core worked is taken after that work.
  const auto late = waits_of(8, 1, 100, machine::Progress::polled);
  EXPECT_EQ(late.receiver, all_seconds({110 + 19, 110 + 19}));
  EXPECT_EQ(waits_of(8, 1, 100, machine::Progress::independent).receiver, all_seconds({110, 100 + 19}));
}

/// Twenty floats: 5 s to hand over, 10 s there, 40 s for their bytes, 7 s to take.
TEST(Costs, ARendezvousWaitsForTheReceive) {
  const auto by_itself = waits_of(20, 1, 30, machine::Progress::independent);
  EXPECT_EQ(by_itself.sender, all_seconds({11, 30 + 10 + 40}));
  EXPECT_EQ(by_itself.receiver, all_seconds({40, 30 + 10 + 10 + 40 + 7}));
  const auto soon = waits_of(20, 30, 1, machine::Progress::independent);
  EXPECT_EQ(soon.sender, all_seconds({40, 30 + 5 + 40}));
  EXPECT_EQ(soon.receiver, all_seconds({11, 30 + 5 + 10 + 40 + 7}));
}

}  // namespace
}  // namespace partita::sim
