/// The ledger of a training run equals closed forms, and Σ sent = Σ received.
#include "partita/step/traffic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "../mpi_main.hpp"
#include "cases.hpp"

namespace partita::tests {
namespace {

using collective::Activity;
using collective::Operation;
using collective::Purpose;

struct Sums {
  std::int64_t calls = 0, payload = 0, sent = 0, received = 0, read = 0, written = 0;
};

Sums train_and_sum(comm::Algorithm algorithm, Purpose purpose, Activity activity) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  auto world = comm::Communicator::world(environment());
  auto options = options_for(c, {.data = world.size()});
  options.split.algorithm = algorithm;
  options.split.bucket_bytes = kernels::Bytes(1 << 20);  // one bucket
  auto training = training_of(c.model, options, *backend, world, c.data);
  training.run({});
  Sums sums;
  std::int64_t all_sent = 0, all_received = 0;
  for (const auto& row : world.gather_traffic()) {
    all_sent += row.counts.wire_bytes.value();
    all_received += row.counts.wire_bytes_received.value();
    if (row.key.activity != activity || row.key.purpose != purpose) continue;
    EXPECT_EQ(row.key.axis, topology::Axis::data);
    EXPECT_EQ(row.key.operation, Operation::all_reduce);
    sums.calls += row.counts.calls;
    sums.payload += row.counts.payload_bytes.value();
    sums.sent += row.counts.wire_bytes.value();
    sums.received += row.counts.wire_bytes_received.value();
    sums.read += row.counts.window_bytes_read.value();
    sums.written += row.counts.window_bytes_written.value();
  }
  EXPECT_EQ(all_sent, all_received);
  return sums;
}

// 13·11 + 11 + 11·7 + 7 + 7·5 + 5 parameters of float64, 20 steps.
constexpr std::int64_t gradient_bytes = (13 * 11 + 11 + 11 * 7 + 7 + 7 * 5 + 5) * 8;

TEST(Traffic, RingOfGradientsSendsTwiceAllButAShare) {
  auto& world = tests::world();
  const std::int64_t p = world.size();
  const auto sums = train_and_sum(comm::Algorithm::ring, Purpose::gradient, Activity::train);
  if (world.rank() != 0) return;
  EXPECT_EQ(sums.calls, p == 1 ? 0 : 20 * p);
  EXPECT_EQ(sums.payload, p == 1 ? 0 : 20 * p * gradient_bytes);
  EXPECT_EQ(sums.sent, 20 * 2 * (p - 1) * gradient_bytes);
  EXPECT_EQ(sums.received, sums.sent);
}

TEST(Traffic, WindowOfGradientsReadsAndWritesAllButAShareAndSendsNothing) {
  auto& world = tests::world();
  const std::int64_t p = world.size();
  const auto sums = train_and_sum(comm::Algorithm::window, Purpose::gradient, Activity::train);
  if (world.rank() != 0) return;
  EXPECT_EQ(sums.sent, 0);
  EXPECT_EQ(sums.read, 20 * (p - 1) * gradient_bytes);
  EXPECT_EQ(sums.written, 20 * (p - 1) * gradient_bytes);
}

TEST(Traffic, MetricsOfAStepAreTwoNumbers) {
  auto& world = tests::world();
  const std::int64_t p = world.size();
  const auto sums = train_and_sum(comm::Algorithm::ring, Purpose::metric, Activity::train);
  if (world.rank() != 0) return;
  EXPECT_EQ(sums.payload, p == 1 ? 0 : 20 * p * 16);
  EXPECT_EQ(sums.sent, 20 * 2 * (p - 1) * 16);
}

using Booked = std::map<collective::TrafficKey, std::array<std::int64_t, 8>>;

/// All but seconds and staged bytes; modelled bytes only where they are known.
void add_to(Booked& booked, const collective::TrafficKey& key, const collective::TrafficCounts& counts) {
  auto& sums = booked[key];
  const std::array values{counts.calls,
                          counts.messages,
                          counts.payload_bytes.value(),
                          counts.wire_bytes.value(),
                          counts.wire_bytes_received.value(),
                          counts.window_bytes_read.value(),
                          counts.window_bytes_written.value(),
                          counts.modelled_wire_bytes.value_or(kernels::Bytes(-1)).value()};
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i] += values[i];
}

/// The steps of a training as its ledger has them, and as its program says, on this rank.
void expect_what_the_program_says(const topology::GridExtent& grid, comm::Algorithm algorithm,
                                  int ranks_per_node) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const auto all = comm::Communicator::world(environment());
  auto ranks = all.with_nodes_of(ranks_per_node);
  auto options = options_for(c, grid);
  options.split.algorithm = algorithm;
  options.split.bucket_bytes = kernels::Bytes(600);
  options.split.pipeline.microbatches = 2;
  const auto model = placed(c.model, grid.tensor > 1 ? Placing::column : Placing::cheapest);
  auto training = training_of(model, options, *backend, ranks, c.data);
  training.run({});
  const step::Site site{.node_of = {ranks.nodes().begin(), ranks.nodes().end()}};
  Booked booked, said;
  for (const auto& row : ranks.ledger().rows(ranks.rank()))
    if (row.key.activity == Activity::train) add_to(booked, row.key, row.counts);
  for (const auto& step : training.steps())
    for (const auto& [key, row] : step::traffic_of_step(training.program(), ranks.rank(), step.samples, site))
      add_to(said, key, row.counts);
  if (algorithm == comm::Algorithm::mpi)  // what a library other than MPICH 4.0 sends nobody knows
    for (auto* const rows : {&booked, &said})
      for (auto& [key, sums] : *rows)
        sums.back() = 0;
  EXPECT_EQ(booked, said) << to_string(grid) << ' ' << to_string(algorithm) << ", nodes of "
                          << ranks_per_node;
}

TEST(Traffic, TheLedgerBooksWhatTheProgramSays) {
  const int p = world().size();
  for (const auto algorithm : collective::algorithms()) {
    expect_what_the_program_says({.data = p}, algorithm, 0);
    expect_what_the_program_says({.tensor = p}, algorithm, 0);
  }
  expect_what_the_program_says({.pipeline = p}, comm::Algorithm::automatic, 0);
  for (const int ranks_per_node : {0, 1, 2}) {
    expect_what_the_program_says({.data = p}, comm::Algorithm::automatic, ranks_per_node);
    expect_what_the_program_says({.tensor = p}, comm::Algorithm::automatic, ranks_per_node);
    if (p % 2 == 0)
      expect_what_the_program_says({.data = 2, .tensor = p / 2}, comm::Algorithm::automatic, ranks_per_node);
  }
}

/// The four columns by rank, activity and axis.
using Columns = std::map<std::tuple<int, Activity, topology::Axis>, std::array<std::int64_t, 4>>;
template <class Counts>
void add_to(Columns& columns, int rank, Activity activity, topology::Axis axis, const Counts& counts) {
  const std::array values{counts.wire_bytes, counts.wire_bytes_received, counts.window_bytes_read,
                          counts.window_bytes_written};
  if (activity == Activity::record || values == decltype(values){}) return;
  auto& sums = columns[{rank, activity, axis}];
  for (std::size_t i = 0; i < values.size(); ++i)
    sums[i] += values[i].value();
}

void expect_peers_add_up(const topology::GridExtent& grid, comm::Algorithm algorithm) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  auto world = comm::Communicator::world(environment());
  auto options = options_for(c, grid);
  options.split.algorithm = algorithm;
  const auto model = placed(c.model, grid.tensor > 1 ? Placing::column : Placing::cheapest);
  training_of(model, options, *backend, world, c.data).run({});
  const auto peers = world.gather_peers();
  Columns traffic, by_peer;
  for (const auto& row : world.gather_traffic())
    add_to(traffic, row.rank, row.key.activity, row.key.axis, row.counts);
  std::map<std::tuple<int, int, Activity, topology::Axis>, std::int64_t> sent, received;
  for (const auto& row : peers) {
    add_to(by_peer, row.rank, row.activity, row.axis, row.counts);
    EXPECT_LT(row.counts.peer, world.size());
    const auto group = topology::group_of(grid, row.rank, row.axis);
    EXPECT_TRUE(std::ranges::count(group, row.counts.peer) == 1) << "a peer is a neighbour on the axis";
    sent[{row.rank, row.counts.peer, row.activity, row.axis}] += row.counts.wire_bytes.value();
    received[{row.counts.peer, row.rank, row.activity, row.axis}] += row.counts.wire_bytes_received.value();
  }
  std::erase_if(sent, [](const auto& entry) { return entry.second == 0; });
  std::erase_if(received, [](const auto& entry) { return entry.second == 0; });
  if (world.rank() != 0) return;
  EXPECT_EQ(by_peer, traffic) << to_string(grid);
  EXPECT_EQ(sent, received) << to_string(grid);
  EXPECT_EQ(peers.empty(), world.size() == 1) << to_string(grid);
}

TEST(Peers, AddUpToTheTrafficOfEveryRankActivityAndAxis) {
  const int p = world().size();
  for (const topology::GridExtent& grid : {topology::GridExtent{.data = p}, {.pipeline = p}, {.tensor = p}})
    expect_peers_add_up(grid, comm::Algorithm::automatic);
  expect_peers_add_up({.data = p}, comm::Algorithm::ring);
  if (p % 2 == 0) expect_peers_add_up({.data = p / 2, .tensor = 2}, comm::Algorithm::automatic);
}

}  // namespace
}  // namespace partita::tests
