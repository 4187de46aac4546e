/// When messages leave, when their last bytes have left, and when they arrive, on a machine where they meet:
/// they share links, and keep gaps.
#pragma once

#include <cstdint>
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

/// Which message: the one with this number from one rank to another in a meeting.
struct Passage {
  Meeting* meeting = nullptr;
  int from = 0, to = 0;
  std::size_t number = 0;
};

class Network {
 public:
  /// What is known of a message from now on.
  struct Notice {
    Passage passage;
    std::optional<Picoseconds> drained, arrives;  ///< its last byte
  };

  /// None: no messages meet. The machine outlives the network.
  explicit Network(const machine::Machine* machine) : machine_(machine) {}

  /// Whether others can slow down messages between the two; if not their times are known at once.
  bool can_delay(int from, int to) { return machine_ != nullptr && way(from, to).can_delay; }
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
    std::vector<std::size_t> links;
    std::pair<std::size_t, std::int64_t> source, target;  ///< levels, and units of those inside them
  };
  struct Message {
    Passage passage;
    machine::MessageTime time;
    std::int64_t bytes = 0;
    const Way* way = nullptr;
  };
  /// Ties are told apart by ranks, then by who came first.
  struct Event {
    Picoseconds time = 0;
    std::size_t message = 0;
    int from = 0, to = 0;
    bool has_slot = false;  ///< in the queue of its unit
    friend bool operator>(const Event& a, const Event& b) {
      return std::tie(a.time, a.from, a.to, a.message) > std::tie(b.time, b.from, b.to, b.message);
    }
  };
  using Events = std::priority_queue<Event, std::vector<Event>, std::greater<>>;
  /// When each unit can send, or take, its next message.
  using Gaps = std::map<std::pair<std::size_t, std::int64_t>, Picoseconds>;

  const Way& way(int from, int to);
  static Picoseconds take_slot(Gaps&, const std::pair<std::size_t, std::int64_t>& unit, Picoseconds ready,
                               Picoseconds gap);

  const machine::Machine* machine_;
  Flows flows_;
  std::map<machine::Link, std::size_t> links_;
  std::map<std::pair<int, int>, Way> ways_;
  std::vector<Message> messages_;
  std::vector<std::size_t> message_of_;  ///< by flow
  Events ready_, arriving_;
  Gaps sending_, taking_;
};

}  // namespace partita::sim
