/// The ledger of a training run equals closed forms, and Σ sent = Σ received.
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
  options.algorithm = algorithm;
  options.split.bucket_bytes = kernels::Bytes(1 << 20);  // one bucket
  run::Training training(c.model, options, *backend, world, c.data);
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
  options.algorithm = algorithm;
  const auto model = placed(c.model, grid.tensor > 1 ? Placing::column : Placing::cheapest);
  run::Training(model, options, *backend, world, c.data).run({});
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
