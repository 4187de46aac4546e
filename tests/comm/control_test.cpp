/// Control exchanges and the ledger.
#include <gtest/gtest.h>

#include "../mpi_main.hpp"

namespace partita::comm {
namespace {

using collective::Activity;
using collective::Operation;
using collective::Purpose;
using tests::world;

TEST(Texts, OfAnyLengthReachEveryoneOrTheRoot) {
  const std::string mine(static_cast<std::size_t>(world().rank() * 3), 'x');
  const auto all = world().all_gather_text(mine, Purpose::control);
  ASSERT_EQ(static_cast<int>(all.size()), world().size());
  for (std::size_t r = 0; r < all.size(); ++r)
    EXPECT_EQ(all[r].size(), 3 * r);
  const auto at_root = world().gather_text(mine, 0, Purpose::control);
  EXPECT_EQ(at_root.size(), world().rank() == 0 ? all.size() : 0U);
}

TEST(Agreement, GivesEveryRankTheUnionAndNamesTheRanks) {
  std::vector<base::Violation> mine{{"a", "1", "on all"}};
  if (world().rank() == 1) mine.push_back({"b", "2", "on one"});
  const auto all = world().agree(mine);
  ASSERT_EQ(all.size(), world().size() > 1 ? 2U : 1U);
  EXPECT_EQ(to_string(all[0]), "a = 1: on all");
  if (world().size() > 1) {
    EXPECT_EQ(to_string(all[1]), "b = 2: on one (on rank 1)");
  }
}

TEST(Ledger, CoversItsOwnGatherAndBalances) {
  auto fresh = Communicator::world(tests::environment());
  fresh.ledger().set_activity(Activity::train);
  std::vector<double> values(100, 1.0);
  const auto operation =
      fresh.plan_all_reduce(std::span(values), Combine::sum, Algorithm::ring, Purpose::gradient);
  operation->start(), operation->wait();
  const auto rows = fresh.gather_traffic();
  if (fresh.rank() != 0) return;
  const std::int64_t p = fresh.size();
  std::int64_t sent = 0, received = 0, gradient = 0, gathers = 0;
  for (const auto& row : rows) {
    sent += row.counts.wire_bytes.value(), received += row.counts.wire_bytes_received.value();
    if (row.key.purpose == Purpose::gradient) gradient += row.counts.wire_bytes.value();
    if (row.key.operation == Operation::gather) gathers += row.counts.wire_bytes.value();
  }
  EXPECT_EQ(sent, received);
  EXPECT_EQ(gradient, 2 * (p - 1) * 800);
  EXPECT_EQ(gathers, static_cast<std::int64_t>(rows.size() * sizeof(collective::TrafficRow)) / p * (p - 1));
}

}  // namespace
}  // namespace partita::comm
