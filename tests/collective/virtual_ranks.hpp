/// Ranks that run rounds without MPI: on integers, to see what comes out; and where a message waits for both
/// its ends, to see whether and when they end. And the rounds of every all-reduce, for any number of ranks.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "partita/collective/spec.hpp"

namespace partita::collective {

using Buffer = std::vector<long>;

/// Executes all ranks' rounds without time: messages by (from, to) in order, window rounds when all
/// members arrived. Returns nothing when no rank can move on (a deadlock).
class Virtual {
 public:
  using Sum = long (*)(long, long);
  Virtual(
      std::vector<Rounds> rounds, std::vector<Buffer> buffers, bool in_window,
      Sum sum = [](long a, long b) { return a + b; })
      : rounds_(std::move(rounds)),
        buffers_(std::move(buffers)),
        in_window_(in_window),
        sum_(sum),
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
        while (at_[r] < rounds_[r].size() && step(r))
          ++at_[r], posted_[r] = false, moved = true;
    }
    for (std::size_t r = 0; r < buffers_.size(); ++r)
      if (at_[r] < rounds_[r].size()) return std::nullopt;
    return buffers_;
  }

 private:
  [[nodiscard]] long combine(Combine how, long a, long b) const {
    return how == Combine::copy ? b : how == Combine::sum ? sum_(a, b) : std::max(a, b);
  }

  bool step(std::size_t r) {
    const auto& round = rounds_[r][at_[r]];
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

  std::vector<Rounds> rounds_;
  std::vector<Buffer> buffers_;
  bool in_window_;
  Sum sum_;
  std::vector<std::array<Buffer, 2>> slots_;
  std::vector<int> slot_;
  std::vector<std::size_t> at_;
  std::vector<bool> posted_;
  std::vector<int> arrivals_;
  std::map<std::pair<int, int>, std::deque<Buffer>> wires_;
};

using Generator = std::function<Rounds(int p, int rank, std::int64_t n)>;

inline const WindowTuning tuning{.chunk = 7, .gather = 3};

/// Ranks two a node, or all on one.
inline Place place_of(Algorithm algorithm, int p, int rank) {
  Place at{.rank = rank, .node_of = {}};
  for (int r = 0; r < p; ++r)
    at.node_of.push_back(algorithm == Algorithm::hierarchical ? r / 2 : 0);
  return at;
}

/// Every algorithm whose rounds can be seen, as `rounds_of` makes them; the window also with small slots.
inline std::map<std::string, Generator> all_reduces() {
  std::map<std::string, Generator> all{
      {"staged window",
       [](int p, int r, std::int64_t n) { return staged_window_all_reduce(p, r, n, Combine::sum, tuning); }},
      {"direct window",
       [](int p, int r, std::int64_t n) { return direct_window_all_reduce(p, r, n, Combine::sum); }},
      {"double tree in small chunks",
       [](int p, int r, std::int64_t n) { return double_tree_all_reduce(p, r, n, Combine::sum, 7); }},
  };
  for (const auto algorithm : algorithms())
    if (algorithm != Algorithm::mpi)
      all[std::string(to_string(algorithm))] = [=](int p, int r, std::int64_t n) {
        return rounds_of({.algorithm = algorithm, .elements = n}, place_of(algorithm, p, r));
      };
  return all;
}

/// Runs messages that move only once both ends have come to them, an element a unit of time; what a round
/// sends and receives moves at the same time.
class Rendezvous {
 public:
  explicit Rendezvous(const std::vector<Rounds>& all) : all_(all), ranks_(all.size()) {
    for (std::size_t r = 0; r < ranks_.size(); ++r)
      enter(r);
  }
  /// When the last rank is done; nothing where ranks wait for each other for ever.
  std::optional<std::int64_t> run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t r = 0; r < ranks_.size(); ++r)
        while (exchange(r))
          moved = true;
    }
    std::int64_t last = 0;
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      if (ranks_[r].at < all_[r].size()) return std::nullopt;
      last = std::max(last, ranks_[r].entered);
    }
    return last;
  }

 private:
  struct Rank {
    std::size_t at = 0;
    std::int64_t entered = 0, left = 0;
    bool sends = false, receives = false;
  };
  [[nodiscard]] const MessageRound& round(std::size_t r) const {
    return std::get<MessageRound>(all_[r][ranks_[r].at]);
  }
  /// The next round with something to do.
  void enter(std::size_t r) {
    for (auto& rank = ranks_[r]; rank.at < all_[r].size(); ++rank.at) {
      rank.sends = round(r).send_to >= 0 && !round(r).send.empty();
      rank.receives = round(r).receive_from >= 0 && !round(r).receive.empty();
      if (rank.sends || rank.receives) return;
    }
  }
  void leave(std::size_t r, std::int64_t now) {
    auto& rank = ranks_[r];
    rank.left = std::max(rank.left, now);
    if (rank.sends || rank.receives) return;
    rank.entered = rank.left;
    ++rank.at;
    enter(r);
  }
  bool exchange(std::size_t r) {
    if (!ranks_[r].sends) return false;
    const auto to = static_cast<std::size_t>(round(r).send_to);
    if (!ranks_[to].receives || round(to).receive_from != static_cast<int>(r)) return false;
    const auto done = std::max(ranks_[r].entered, ranks_[to].entered) + round(r).send.size();
    ranks_[r].sends = false;
    ranks_[to].receives = false;
    leave(r, done);
    if (to != r) leave(to, done);
    return true;
  }

  const std::vector<Rounds>& all_;
  std::vector<Rank> ranks_;
};

inline std::vector<std::int64_t> sizes(int p) { return {0, 1, p - 1, p, p + 1, 64, 101}; }

inline std::vector<Rounds> rounds_of_all(const Generator& generate, int p, std::int64_t n) {
  std::vector<Rounds> all;
  for (int r = 0; r < p; ++r)
    all.push_back(generate(p, r, n));
  return all;
}

}  // namespace partita::collective
