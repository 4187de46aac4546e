/// The bytes of rounds against closed forms in plain arithmetic.
#include <gtest/gtest.h>

#include <bit>

#include "virtual_ranks.hpp"

namespace partita::collective {
namespace {

struct Totals {
  std::int64_t sent = 0, received = 0, read = 0, written = 0, busiest = 0;
};
Totals totals(const Generator& generate, int p, std::int64_t n) {
  Totals t;
  for (int r = 0; r < p; ++r) {
    const auto counts = traffic_of(generate(p, r, n), r, Bytes(4));
    t.sent += counts.wire_bytes.value(), t.received += counts.wire_bytes_received.value();
    t.read += counts.window_bytes_read.value(), t.written += counts.window_bytes_written.value();
    t.busiest = std::max(t.busiest, counts.wire_bytes.value());
  }
  return t;
}

TEST(Bytes, AllReduceEqualsItsClosedFormOverTheGroup) {
  auto all = all_reduces();
  for (int p = 1; p <= 17; ++p)
    for (const auto n : sizes(p)) {
      int q = 1, log = 0;
      while (2 * q <= p)
        q *= 2, ++log;
      const std::int64_t b = 4 * n, extra = p - q;
      const auto ring = totals(all["ring"], p, n);
      EXPECT_EQ(ring.sent, 2 * (p - 1) * b);
      EXPECT_EQ(ring.received, ring.sent);
      const auto doubling = totals(all["recursive-doubling"], p, n);
      EXPECT_EQ(doubling.sent, q * log * b + 2 * extra * b);
      EXPECT_EQ(doubling.received, doubling.sent);
      const auto halving = totals(all["halving-doubling"], p, n);
      EXPECT_EQ(halving.sent, 2 * (q - 1) * b + 2 * extra * b);
      EXPECT_EQ(halving.received, halving.sent);
      const auto direct = totals(all["direct window"], p, n);
      EXPECT_EQ(direct.read, (p - 1) * b);
      EXPECT_EQ(direct.written, (p - 1) * b);
      EXPECT_EQ(direct.sent + direct.received, 0);
      const auto staged = totals(all["staged window"], p, n);
      EXPECT_EQ(staged.read, p == 1               ? 0
                             : p == 2             ? 2 * b
                             : n <= tuning.gather ? p * (p - 1) * b
                                                  : 2 * (p - 1) * b);
      EXPECT_EQ(staged.written + staged.sent, 0);
      const auto nodes = totals(all["hierarchical"], p, n);
      const std::int64_t leaders = (p + 1) / 2, pairs = p / 2;
      EXPECT_EQ(nodes.sent, 2 * (leaders - 1) * b);
      // Each pair: both load the other's half, the leader collects the follower's half, the follower loads
      // everything.
      EXPECT_EQ(nodes.read, pairs * (b + 4 * (n - n / 2) + b));
    }
}

/// Neighbours of a position in a tree of NCCL's: the root has one below it, odd positions one above them,
/// others one above and two below, of which the last has only the lower.
std::int64_t neighbours(int position, int p) {
  if (p == 1) return 0;
  if (position == 0 || position % 2 == 1) return 1;
  return position + 1 < p ? 3 : 2;
}

TEST(Bytes, OfADoubleTreeAreAHalfForEachNeighbour) {
  for (int p = 1; p <= 17; ++p)
    for (const auto n : sizes(p))
      for (const std::int64_t chunk : {1, 7, 1000}) {
        std::int64_t sent = 0;
        for (int r = 0; r < p; ++r) {
          const int in_second = p % 2 == 0 ? p - 1 - r : (r + p - 1) % p;
          const auto elements = neighbours(r, p) * (n / 2) + neighbours(in_second, p) * (n - n / 2);
          const auto counts = traffic_of(double_tree_all_reduce(p, r, n, Combine::sum, chunk), r, Bytes(4));
          EXPECT_EQ(counts.wire_bytes.value(), 4 * elements) << "p " << p << " n " << n << " rank " << r;
          EXPECT_EQ(counts.wire_bytes_received.value(), 4 * elements)
              << "p " << p << " n " << n << " rank " << r;
          EXPECT_LE(elements, 2 * n + 1);
          sent += elements;
        }
        EXPECT_EQ(sent, 2 * (p - 1) * n);
      }
}

/// By peer they add up to the totals, and what one sends another the other receives.
void expect_peers_add_up(const std::vector<Rounds>& all, const std::string& name) {
  const auto p = static_cast<int>(all.size());
  std::map<std::pair<int, int>, std::int64_t> sent, received;
  for (int r = 0; r < p; ++r) {
    TrafficCounts sums;
    for (const auto& peer : peers_of(all[static_cast<std::size_t>(r)], r, Bytes(4))) {
      sums.wire_bytes += peer.wire_bytes, sums.wire_bytes_received += peer.wire_bytes_received;
      sums.window_bytes_read += peer.window_bytes_read;
      sums.window_bytes_written += peer.window_bytes_written;
      if (peer.wire_bytes.value() > 0) sent[{r, peer.peer}] = peer.wire_bytes.value();
      if (peer.wire_bytes_received.value() > 0) received[{peer.peer, r}] = peer.wire_bytes_received.value();
    }
    const auto counts = traffic_of(all[static_cast<std::size_t>(r)], r, Bytes(4));
    EXPECT_EQ(sums.wire_bytes, counts.wire_bytes) << name << " p " << p << " rank " << r;
    EXPECT_EQ(sums.wire_bytes_received, counts.wire_bytes_received) << name << " p " << p << " rank " << r;
    EXPECT_EQ(sums.window_bytes_read, counts.window_bytes_read) << name << " p " << p << " rank " << r;
    EXPECT_EQ(sums.window_bytes_written, counts.window_bytes_written) << name << " p " << p << " rank " << r;
  }
  EXPECT_EQ(sent, received) << name << " p " << p;
}

TEST(Bytes, ByPeerAddUpToTheTotals) {
  for (const auto& [name, generate] : all_reduces())
    for (int p = 1; p <= 17; ++p)
      for (const auto n : sizes(p))
        expect_peers_add_up(rounds_of_all(generate, p, n), name);
}

TEST(Bytes, ByPeerOfARingGoToTheNextRankOnly) {
  const auto peers = peers_of(ring_all_reduce(4, 1, even_cuts(4, 8), Combine::sum), 1, Bytes(4));
  ASSERT_EQ(peers.size(), 2U);
  EXPECT_EQ(peers[0], (PeerCounts{.peer = 0, .wire_bytes_received = Bytes(2 * 3 * 2 * 4)}));
  EXPECT_EQ(peers[1], (PeerCounts{.peer = 2, .wire_bytes = Bytes(2 * 3 * 2 * 4)}));
}

TEST(Bytes, OtherOperationsEqualTheirClosedForms) {
  for (int p = 1; p <= 17; ++p) {
    std::vector<std::int64_t> cuts{0};  // uneven, with empty shares: 0, 1, 0, 3, 0, 5, …
    for (int r = 0; r < p; ++r)
      cuts.push_back(cuts.back() + (r % 2 == 0 ? 0 : r));
    const std::int64_t n = cuts.back();
    std::int64_t scatter = 0, doubling = 0, halving = 0, loaded = 0, gather = 0, doubled = 0, loaded_back = 0,
                 broadcast = 0, to_root = 0, barrier = 0, exchange = 0;
    for (int r = 0; r < p; ++r) {
      const auto sent = [&](const Rounds& s) { return traffic_of(s, r, Bytes(1)).wire_bytes.value(); };
      scatter += sent(ring_reduce_scatter(p, r, cuts, Combine::sum));
      doubling += sent(recursive_doubling_reduce_scatter(p, r, cuts, Combine::sum));
      halving += sent(halving_doubling_reduce_scatter(p, r, cuts, Combine::sum));
      const auto read = [&](const Rounds& s) { return traffic_of(s, r, Bytes(1)).window_bytes_read.value(); };
      loaded += read(direct_window_reduce_scatter(p, r, cuts, Combine::sum));
      EXPECT_EQ(read(staged_window_reduce_scatter(p, r, cuts, Combine::sum, 3)),
                read(direct_window_reduce_scatter(p, r, cuts, Combine::sum)));
      loaded_back += read(direct_window_all_gather(p, r, cuts));
      gather += sent(ring_all_gather(p, r, cuts));
      doubled += sent(bruck_all_gather(p, r, cuts));
      broadcast += sent(binomial_broadcast(p, r, p - 1, 13));
      to_root += sent(linear_gather(p, r, 0, cuts));
      barrier += sent(dissemination_barrier(p, r));
      exchange += sent(pairwise_all_to_all(p, r, cuts, even_cuts(p, 0)));
    }
    int rounds = 0;
    while ((1 << rounds) < p)
      ++rounds;
    EXPECT_EQ(scatter, (p - 1) * n);
    // r ranks fold all they have into others and get their shares at last; q − 1 shares leave each of q.
    const std::int64_t q = std::bit_floor(static_cast<unsigned>(p)), folded = p - q;
    std::int64_t returned = 0;
    for (std::int64_t r = 0; r < folded; ++r)
      returned += cuts[static_cast<std::size_t>(2 * r) + 1] - cuts[static_cast<std::size_t>(2 * r)];
    EXPECT_EQ(doubling, folded * n + (q - 1) * n + returned);
    EXPECT_EQ(halving, doubling);
    EXPECT_EQ(loaded, (p - 1) * n);
    EXPECT_EQ(loaded_back, (p - 1) * n);
    EXPECT_EQ(gather, (p - 1) * n);
    EXPECT_EQ(doubled, (p - 1) * n);
    EXPECT_EQ(broadcast, (p - 1) * 13);
    EXPECT_EQ(to_root, n);  // rank 0's own share is empty
    EXPECT_EQ(barrier, p * rounds);
    EXPECT_EQ(exchange, p * n) << "what a rank keeps it sends itself";
  }
}

TEST(Bytes, TheVendorsModelIsRabenseifnerOrRecursiveDoubling) {
  EXPECT_EQ(modelled_vendor_all_reduce(4, 0, 1000, Bytes(4)).value(), 2 * 3 * 1000);
  EXPECT_EQ(modelled_vendor_all_reduce(3, 0, 1000, Bytes(4)).value(), 4000);  // folds away
  EXPECT_EQ(modelled_vendor_all_reduce(3, 1, 1000, Bytes(4)).value(), 4000 + 4000);
  EXPECT_EQ(modelled_vendor_all_reduce(3, 2, 1000, Bytes(4)).value(), 4000);
  EXPECT_EQ(modelled_vendor_all_reduce(4, 0, 1, Bytes(8)).value(), 2 * 8);
}

}  // namespace
}  // namespace partita::collective
