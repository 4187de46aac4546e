/// When messages leave, when their last bytes have left, and when they arrive, on a machine where they meet:
/// they share links, and keep gaps. Where representatives of classes run, a message stands for its class.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

#include "flows.hpp"
#include "partita/machine/machine.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {

struct Meeting;
struct Classes;

/// From one rank to another.
struct Ends {
  int from = 0, to = 0;
  friend auto operator<=>(const Ends&, const Ends&) = default;
};

/// Which message: the one with this number in a meeting, between ends as its receiver sees them.
struct Passage {
  Meeting* meeting = nullptr;
  Ends ends;
  std::size_t number = 0;
};

/// Whether messages that leave a unit of the level below, or come to one, keep apart.
bool keeps_gaps(const machine::Level&);
/// By which messages that come to a rank at once in one meeting have their turns.
std::pair<int, int> distance(const Ends&);

class Network {
 public:
  /// What is known of a message from now on.
  struct Notice {
    Passage passage;
    std::optional<Picoseconds> drained, arrives;  ///< its last byte
  };

  /// No machine: no messages meet. No classes: every rank runs. Both outlive the network.
  Network(const machine::Machine*, const Classes*);

  /// Whether others can slow down messages between the two; if not their times are known at once.
  bool can_delay(const Ends& ends) { return machine_ != nullptr && way(ends).can_delay; }
  /// A message of so many bytes that is to leave at `ready`, not before the network's time.
  void send(const Passage&, const machine::MessageTime&, kernels::Bytes, Picoseconds ready);

  /// When messages next end, by what is known, and when they next are to leave; or `never`.
  Picoseconds next_end();
  [[nodiscard]] Picoseconds next_departure() const { return ready_.empty() ? never : ready_.top().time; }
  /// All that end then.
  std::vector<Notice> end(Picoseconds);
  /// All that are to leave then do, or take their place behind others.
  void depart(Picoseconds);

  /// What has crossed each link, in the order of levels and links.
  [[nodiscard]] std::vector<LinkUse> uses() const;

 private:
  struct Way {
    bool can_delay = false;
    std::vector<Crossing> links;
    std::pair<std::size_t, std::int64_t> source, target;  ///< levels, and units of those inside them
  };
  struct Message {
    Passage passage;
    machine::MessageTime time;
    std::int64_t bytes = 0;
    const Way* way = nullptr;
    bool has_arrived = false;
  };
  Message& message(std::size_t number) { return messages_[number - forgotten_]; }
  /// Ties are told apart by the rank whose unit keeps the gap, then by what is the same for all ranks that
  /// are alike: the meeting, how far the other rank is, who came first.
  struct Event {
    Picoseconds time = 0;
    std::size_t message = 0;
    int rank = 0;
    std::pair<int, std::size_t> meeting;  ///< by step and group
    std::pair<int, int> other;
    bool has_slot = false;  ///< in the queue of its unit
    friend bool operator>(const Event& a, const Event& b) {
      return std::tie(a.time, a.rank, a.meeting, a.other, a.message) >
             std::tie(b.time, b.rank, b.meeting, b.other, b.message);
    }
  };
  using Events = std::priority_queue<Event, std::vector<Event>, std::greater<>>;
  /// When each unit can send, or take, its next message.
  using Gaps = std::map<std::pair<std::size_t, std::int64_t>, Picoseconds>;

  const Way& way(const Ends&);
  void spread(Way&, std::int64_t flows) const;
  std::size_t number_of(const machine::Link&);
  [[nodiscard]] int representative(int rank) const;
  static Picoseconds take_slot(Gaps&, const std::pair<std::size_t, std::int64_t>& unit, Picoseconds ready,
                               Picoseconds gap);

  const machine::Machine* machine_;
  const Classes* classes_;
  Flows flows_;
  std::map<machine::Link, std::size_t> links_;
  std::vector<std::int64_t> links_alike_;  ///< for which each of them stands
  std::map<Ends, Way> ways_;
  std::size_t forgotten_ = 0;            ///< the first messages, which have arrived
  std::deque<Message> messages_;         ///< the others
  std::vector<std::size_t> message_of_;  ///< by flow
  Events ready_, arriving_;
  Gaps sending_, taking_;
};

}  // namespace partita::sim
