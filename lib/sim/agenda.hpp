/// What ranks do next, in order of time.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "flows.hpp"

namespace partita::sim {

/// A rank goes on, or what it may wait for has come.
struct Event {
  Picoseconds time = 0;
  std::int64_t number = 0;
  int rank = 0;
  bool wakes = false;
  friend bool operator>(const Event& a, const Event& b) {
    return a.time != b.time ? a.time > b.time : a.number > b.number;
  }
};

/// At one time who was told first goes first.
class Agenda {
 public:
  void push(Picoseconds time, int rank, bool wakes = false) { events_.push({time, ++number_, rank, wakes}); }
  /// Of the next event, or `never`.
  [[nodiscard]] Picoseconds next() const { return events_.empty() ? never : events_.top().time; }
  Event take() {
    const auto event = events_.top();
    events_.pop();
    return event;
  }

 private:
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t number_ = 0;
};

}  // namespace partita::sim
