/// Schedules run over virtual ranks on integers, and their bytes against closed forms in plain arithmetic.
#include "partita/collective/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>

namespace partita::collective {
namespace {

using Buffer = std::vector<long>;

/// Executes all ranks' schedules without time: messages by (from, to) in order, window rounds when all
/// members arrived. Returns nothing when no rank can move on (a deadlock).
class Virtual {
 public:
  Virtual(std::vector<Schedule> schedules, std::vector<Buffer> buffers, bool in_window)
      : schedules_(std::move(schedules)),
        buffers_(std::move(buffers)),
        in_window_(in_window),
        slots_(buffers_.size()),
        at_(buffers_.size()),
        posted_(buffers_.size()),
        arrivals_(buffers_.size()) {
    for (std::size_t r = 0; r < buffers_.size(); ++r)
      slots_[r] = {Buffer(buffers_[r].size()), Buffer(buffers_[r].size())}, slot_.push_back(0);
  }

  std::optional<std::vector<Buffer>> run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t r = 0; r < buffers_.size(); ++r)
        while (at_[r] < schedules_[r].size() && step(r))
          ++at_[r], posted_[r] = false, moved = true;
    }
    for (std::size_t r = 0; r < buffers_.size(); ++r)
      if (at_[r] < schedules_[r].size()) return std::nullopt;
    return buffers_;
  }

 private:
  static long combine(Combine how, long a, long b) {
    return how == Combine::copy ? b : how == Combine::sum ? a + b : std::max(a, b);
  }

  bool step(std::size_t r) {
    const auto& round = schedules_[r][at_[r]];
    if (const auto* m = std::get_if<MessageRound>(&round)) return message(static_cast<int>(r), *m);
    return window(static_cast<int>(r), std::get<WindowRound>(round));
  }

  bool message(int r, const MessageRound& m) {
    auto& mine = buffers_[static_cast<std::size_t>(r)];
    if (!posted_[static_cast<std::size_t>(r)] && m.send_to >= 0 && !m.send.empty())
      wires_[{r, m.send_to}].push_back(Buffer(mine.begin() + m.send.begin, mine.begin() + m.send.end));
    posted_[static_cast<std::size_t>(r)] = true;
    if (m.receive_from < 0 || m.receive.empty()) return true;
    auto& wire = wires_[{m.receive_from, r}];
    if (wire.empty()) return false;
    EXPECT_EQ(static_cast<std::int64_t>(wire.front().size()), m.receive.size());
    for (std::int64_t i = 0; i < m.receive.size(); ++i)
      mine[static_cast<std::size_t>(m.receive.begin + i)] =
          combine(m.combine, mine[static_cast<std::size_t>(m.receive.begin + i)],
                  wire.front()[static_cast<std::size_t>(i)]);
    wire.pop_front();
    return true;
  }

  bool window(int rank, const WindowRound& w) {
    const auto r = static_cast<std::size_t>(rank);
    if (!posted_[r]) {
      if (w.next_slot) slot_[r] = 1 - slot_[r];
      for (auto i = w.stage_in.begin; i < w.stage_in.end; ++i)
        slot(r)[static_cast<std::size_t>(i)] = buffers_[r][static_cast<std::size_t>(i)];
      ++arrivals_[r];
      posted_[r] = true;
    }
    for (const int m : w.members)
      if (arrivals_[static_cast<std::size_t>(m)] < arrivals_[r]) return false;
    for (const auto& load : w.loads)
      for (auto i = load.range.begin; i < load.range.end; ++i) {
        std::optional<long> value;
        for (const int from : load.from) {
          const auto f = static_cast<std::size_t>(from);
          const long x = f == r || in_window_ ? buffers_[f][static_cast<std::size_t>(i)]
                                              : slot_of(f, slot_[r])[static_cast<std::size_t>(i)];
          value = value ? combine(load.combine, *value, x) : x;
        }
        buffers_[r][static_cast<std::size_t>(i)] = *value;
      }
    for (const int to : w.store_to)
      for (auto i = w.store.begin; i < w.store.end; ++i)
        buffers_[static_cast<std::size_t>(to)][static_cast<std::size_t>(i)] =
            buffers_[r][static_cast<std::size_t>(i)];
    return true;
  }

  Buffer& slot(std::size_t r) { return slots_[r][static_cast<std::size_t>(slot_[r])]; }
  Buffer& slot_of(std::size_t r, int which) { return slots_[r][static_cast<std::size_t>(which)]; }

  std::vector<Schedule> schedules_;
  std::vector<Buffer> buffers_;
  bool in_window_;
  std::vector<std::array<Buffer, 2>> slots_;
  std::vector<int> slot_;
  std::vector<std::size_t> at_;
  std::vector<bool> posted_;
  std::vector<int> arrivals_;
  std::map<std::pair<int, int>, std::deque<Buffer>> wires_;
};

using Generator = std::function<Schedule(int p, int rank, std::int64_t n)>;

const WindowTuning tuning{.chunk = 7, .gather = 3};

std::map<std::string, Generator> all_reduces() {
  return {
      {"ring",
       [](int p, int r, std::int64_t n) { return ring_all_reduce(p, r, even_cuts(p, n), Combine::sum); }},
      {"recursive doubling",
       [](int p, int r, std::int64_t n) { return recursive_doubling_all_reduce(p, r, n, Combine::sum); }},
      {"halving doubling",
       [](int p, int r, std::int64_t n) { return halving_doubling_all_reduce(p, r, n, Combine::sum); }},
      {"staged window",
       [](int p, int r, std::int64_t n) { return staged_window_all_reduce(p, r, n, Combine::sum, tuning); }},
      {"direct window",
       [](int p, int r, std::int64_t n) { return direct_window_all_reduce(p, r, n, Combine::sum); }},
      {"hierarchical, nodes of 2",
       [](int p, int r, std::int64_t n) {
         std::vector<int> nodes;
         for (int i = 0; i < p; ++i)
           nodes.push_back(i / 2);
         return hierarchical_all_reduce(r, nodes, n, Combine::sum);
       }},
  };
}

std::vector<std::int64_t> sizes(int p) { return {0, 1, p - 1, p, p + 1, 64, 101}; }

std::vector<Schedule> schedules(const Generator& generate, int p, std::int64_t n) {
  std::vector<Schedule> all;
  for (int r = 0; r < p; ++r)
    all.push_back(generate(p, r, n));
  return all;
}

/// Whether the schedules sum the buffers on every rank.
bool sums(std::vector<Schedule> all, int p, std::int64_t n, bool in_window) {
  std::vector<Buffer> buffers;
  for (int r = 0; r < p; ++r) {
    buffers.emplace_back();
    for (std::int64_t i = 0; i < n; ++i)
      buffers.back().push_back((r + 1) * (i + 1));
  }
  const auto results = Virtual(std::move(all), std::move(buffers), in_window).run();
  if (!results) return false;
  for (const auto& result : *results)
    for (std::int64_t i = 0; i < n; ++i)
      if (result[static_cast<std::size_t>(i)] != p * (p + 1) / 2 * (i + 1)) return false;
  return true;
}

TEST(Schedules, AllReduceSumsOnEveryRankForAnyNumberOfRanks) {
  for (const auto& [name, generate] : all_reduces())
    for (int p = 1; p <= 9; ++p)
      for (const auto n : sizes(p))
        EXPECT_TRUE(sums(schedules(generate, p, n), p, n, name == "direct window"))
            << name << " p " << p << " n " << n;
}

TEST(Schedules, AMissingRoundIsCaught) {
  for (const auto& [name, generate] : all_reduces())
    for (const int p : {2, 3, 5, 8}) {
      auto all = schedules(generate, p, 64);
      for (auto& schedule : all)
        if (!schedule.empty()) schedule.pop_back();
      if (name == "direct window") continue;  // its last round only waits
      EXPECT_FALSE(sums(all, p, 64, false)) << name << " p " << p;
    }
}

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
  for (int p = 1; p <= 9; ++p)
    for (const auto n : sizes(p)) {
      int q = 1, log = 0;
      while (2 * q <= p)
        q *= 2, ++log;
      const std::int64_t b = 4 * n, extra = p - q;
      const auto ring = totals(all["ring"], p, n);
      EXPECT_EQ(ring.sent, 2 * (p - 1) * b);
      EXPECT_EQ(ring.received, ring.sent);
      const auto doubling = totals(all["recursive doubling"], p, n);
      EXPECT_EQ(doubling.sent, q * log * b + 2 * extra * b);
      EXPECT_EQ(doubling.received, doubling.sent);
      const auto halving = totals(all["halving doubling"], p, n);
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
      const auto nodes = totals(all["hierarchical, nodes of 2"], p, n);
      const std::int64_t leaders = (p + 1) / 2, pairs = p / 2;
      EXPECT_EQ(nodes.sent, 2 * (leaders - 1) * b);
      // Each pair: both load the other's half, the leader collects the follower's half, the follower loads
      // everything.
      EXPECT_EQ(nodes.read, pairs * (b + 4 * (n - n / 2) + b));
    }
}

/// By peer they add up to the totals, and what one sends another the other receives.
void expect_peers_add_up(const std::vector<Schedule>& all, const std::string& name) {
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
    for (int p = 1; p <= 9; ++p)
      for (const auto n : sizes(p))
        expect_peers_add_up(schedules(generate, p, n), name);
}

TEST(Bytes, ByPeerOfARingGoToTheNextRankOnly) {
  const auto peers = peers_of(ring_all_reduce(4, 1, even_cuts(4, 8), Combine::sum), 1, Bytes(4));
  ASSERT_EQ(peers.size(), 2U);
  EXPECT_EQ(peers[0], (PeerCounts{.peer = 0, .wire_bytes_received = Bytes(2 * 3 * 2 * 4)}));
  EXPECT_EQ(peers[1], (PeerCounts{.peer = 2, .wire_bytes = Bytes(2 * 3 * 2 * 4)}));
}

TEST(Bytes, OtherOperationsEqualTheirClosedForms) {
  for (int p = 1; p <= 9; ++p) {
    std::vector<std::int64_t> cuts{0};  // uneven, with empty shares: 0, 1, 0, 3, 0, 5, …
    for (int r = 0; r < p; ++r)
      cuts.push_back(cuts.back() + (r % 2 == 0 ? 0 : r));
    const std::int64_t n = cuts.back();
    std::int64_t scatter = 0, gather = 0, broadcast = 0, to_root = 0, barrier = 0, exchange = 0;
    for (int r = 0; r < p; ++r) {
      const auto sent = [&](const Schedule& s) { return traffic_of(s, r, Bytes(1)).wire_bytes.value(); };
      scatter += sent(ring_reduce_scatter(p, r, cuts, Combine::sum));
      gather += sent(ring_all_gather(p, r, cuts));
      broadcast += sent(binomial_broadcast(p, r, p - 1, 13));
      to_root += sent(linear_gather(p, r, 0, cuts));
      barrier += sent(dissemination_barrier(p, r));
      exchange += sent(pairwise_all_to_all(p, r, cuts, even_cuts(p, 0)));
    }
    int rounds = 0;
    while ((1 << rounds) < p)
      ++rounds;
    EXPECT_EQ(scatter, (p - 1) * n);
    EXPECT_EQ(gather, (p - 1) * n);
    EXPECT_EQ(broadcast, (p - 1) * 13);
    EXPECT_EQ(to_root, n);  // rank 0's own share is empty
    EXPECT_EQ(barrier, p * rounds);
    EXPECT_EQ(exchange, (p - 1) * n);
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
