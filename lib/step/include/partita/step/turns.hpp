/// In which order an asynchronous server takes what workers push, and which of them it answers when: all that
/// a server decides, between two steps in which all have the same parameters. Whoever runs a server asks
/// here, be it with messages or in a model.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "partita/step/cadence.hpp"

namespace partita::step {

class Turns {
 public:
  /// Of so many pushes from each worker.
  Turns(const Servers&, int workers, std::int64_t steps);

  [[nodiscard]] bool is_over() const { return taken_ == steps_ * workers(); }
  /// Whether a push of this worker is still to come, or has and was not taken.
  [[nodiscard]] bool awaits(int worker) const { return clock_of(worker) < steps_ && !waits_[at(worker)]; }
  /// Of those that it awaits the one that has pushed least: it holds back the others.
  [[nodiscard]] int slowest() const;
  /// Whose push is next, of those that have come; none: none has. The search begins behind the worker that
  /// was served last.
  template <class HasPush>
  [[nodiscard]] std::optional<int> next(const HasPush& has_push) const {
    for (int i = 1; i <= workers(); ++i)
      if (const int worker = (last_ + i) % workers(); awaits(worker) && has_push(worker)) return worker;
    return {};
  }
  /// Takes a push: which workers are answered now, in the order of their ranks. The last answers of all are
  /// given together, so that each has the newest parameters then.
  std::vector<int> take(int worker);
  /// The pushes that were taken of a worker.
  [[nodiscard]] std::int64_t clock_of(int worker) const { return clocks_[at(worker)]; }
  [[nodiscard]] std::int64_t taken() const { return taken_; }

 private:
  [[nodiscard]] static std::size_t at(int worker) { return static_cast<std::size_t>(worker); }
  [[nodiscard]] int workers() const { return static_cast<int>(clocks_.size()); }
  [[nodiscard]] bool may_be_answered(int worker, std::int64_t least) const;

  Servers servers_;
  std::int64_t steps_, taken_ = 0;
  std::vector<std::int64_t> clocks_;
  std::vector<char> waits_;  ///< for an answer
  int last_;
};

/// A push as a log has it.
struct LoggedPush {
  int worker = 0;
  std::int64_t staleness = 0;  ///< the server's updates since it answered this worker, or since all began
};

/// Whether workers that push once a step, and go on when all servers have answered, can make each server take
/// pushes in this order, of just this staleness: then whoever follows it is answered as the log's workers
/// were.
bool can_follow(const std::vector<std::vector<LoggedPush>>& orders, const Servers&, int workers,
                std::int64_t steps);

}  // namespace partita::step
