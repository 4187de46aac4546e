/// Work to time: the longest of its parts, and calls.
#include "partita/cost/time.hpp"

#include <gtest/gtest.h>

namespace partita::cost {
namespace {

using kernels::Bytes;

const machine::Machine machine{.flops_per_second = 1e9,
                               .call_seconds = 2e-6,
                               .main_bytes_per_second = 1e8,
                               .cache_bytes_per_second = 4e8,
                               .link_latency_seconds = 1e-6,
                               .link_bytes_per_second = 1e7};

TEST(Time, IsThatOfTheSlowestPartAndOfCalls) {
  EXPECT_EQ(picoseconds_of({}, machine), 0);
  EXPECT_EQ(picoseconds_of({.flops = 1000}, machine), 1e6);
  EXPECT_EQ(picoseconds_of({.flops = 1000, .cache = Bytes(800)}, machine), 2e6);
  EXPECT_EQ(picoseconds_of({.flops = 1000, .cache = Bytes(800), .main = Bytes(300)}, machine), 3e6);
  EXPECT_EQ(picoseconds_of({.flops = 1000, .calls = 2}, machine), 5e6);
  EXPECT_EQ(picoseconds_of({.cache = Bytes(1 << 30)}, machine::Machine::shipped()), 0) << "it has no caches";
}

TEST(Time, OfATransferBeginsWithItsLatency) {
  EXPECT_EQ(picoseconds_of_transfer(0, machine), 1e6);
  EXPECT_EQ(picoseconds_of_transfer(10, machine), 2e6);
}

TEST(Time, IsWholePicoseconds) {
  EXPECT_EQ(picoseconds_of({.flops = 1}, {.flops_per_second = 60e9, .main_bytes_per_second = 1}), 17);
}

TEST(Time, IsFiniteOnAnyMachine) {
  EXPECT_EQ(picoseconds_of({.flops = 1e12}, {.flops_per_second = 1e-300, .main_bytes_per_second = 1}), 1e18);
}

}  // namespace
}  // namespace partita::cost
