/// Counts beyond 2³¹ elements, on bytes.
#include <gtest/gtest.h>

#include <cstring>

#include "../mpi_main.hpp"

namespace partita::comm {
namespace {

using collective::Purpose;
using tests::world;

constexpr std::int64_t n = 2'200'000'001;

/// Values that differ along the buffer and do not overflow a byte when two ranks are summed.
std::uint8_t value(std::int64_t i, int rank) { return static_cast<std::uint8_t>((i / 1000 + rank) % 100); }

void fill(std::vector<std::uint8_t>& bytes) {
  for (std::int64_t i = 0; i < n; ++i)
    bytes[static_cast<std::size_t>(i)] = value(i, world().rank());
}

bool holds_sum(const std::vector<std::uint8_t>& bytes, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i)
    if (bytes[static_cast<std::size_t>(i)] != static_cast<std::uint8_t>(value(i, 0) + value(i, 1)))
      return false;
  return true;
}

TEST(LargeCounts, AllReduceReduceScatterAllGatherAndBroadcast) {
  ASSERT_EQ(world().size(), 2);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n));
  for (const auto algorithm :
       {Algorithm::ring, Algorithm::halving_doubling, Algorithm::window, Algorithm::mpi}) {
    fill(bytes);
    world().all_reduce(std::span(bytes), Combine::sum, Purpose::gradient, algorithm);
    EXPECT_TRUE(holds_sum(bytes, 0, n)) << to_string(algorithm);
  }
  const std::vector<std::int64_t> cuts{0, n / 3, n};  // the larger share is beyond 2³⁰, the sum beyond 2³¹
  fill(bytes);
  const auto scatter = world().plan_reduce_scatter(std::span(bytes), cuts, Combine::sum, Purpose::gradient);
  scatter->start();
  scatter->wait();
  const auto me = static_cast<std::size_t>(world().rank());
  EXPECT_TRUE(holds_sum(bytes, cuts[me], cuts[me + 1]));
  const auto gather = world().plan_all_gather(std::span(bytes), cuts, Purpose::parameter);
  gather->start();
  gather->wait();
  EXPECT_TRUE(holds_sum(bytes, 0, n));
  if (world().rank() == 1) std::memset(bytes.data(), 0, bytes.size());
  const auto broadcast = world().plan_broadcast(std::span(bytes), 0, Purpose::parameter);
  broadcast->start();
  broadcast->wait();
  EXPECT_TRUE(holds_sum(bytes, 0, n));
  EXPECT_EQ(broadcast->description().elements.value(), n);
}

}  // namespace
}  // namespace partita::comm
