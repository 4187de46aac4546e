/// What an asynchronous server has to do: parts of turns, one after the other, which it decides as pushes
/// come.
#pragma once

#include <deque>
#include <iterator>
#include <limits>
#include <vector>

#include "partita/step/program.hpp"
#include "partita/step/turns.hpp"

namespace partita::sim {

class Service {
 public:
  struct Part {
    step::Turn turn;
    int step = 0;  ///< of the worker's push
  };
  /// Of so many steps from `first` on, at whose end nobody waits for the others.
  Service(const step::Program& program, int first, int steps)
      : first_(first),
        pushes_(program.workers() * steps),
        turns_(program.cadence.servers, program.workers(), std::numeric_limits<int>::max()),
        answered_(static_cast<std::size_t>(program.workers()), -1),
        end_(first + steps) {
    for (int worker = 0; worker < program.workers(); ++worker)
      parts_.push_back({{worker, step::TurnPart::receive}, first});
  }

  [[nodiscard]] bool is_over() const { return parts_.empty() && turns_.taken() == pushes_; }
  [[nodiscard]] const std::deque<Part>& parts() const { return parts_; }
  void end_part() { parts_.pop_front(); }
  /// The step of the push that is awaited of a worker; none: it waits for an answer, or has pushed all.
  [[nodiscard]] std::optional<int> awaited_of(int worker) const {
    const auto step = first_ + static_cast<int>(turns_.clock_of(worker));
    return turns_.awaits(worker) && step < end_ ? std::optional(step) : std::nullopt;
  }
  template <class HasPush>
  [[nodiscard]] std::optional<int> next(const HasPush& has_push) const {
    return turns_.next([&](int worker) { return awaited_of(worker) && has_push(worker); });
  }
  /// Takes the push of a worker: what is to be done for it.
  void take(int worker) {
    const int step = *awaited_of(worker);
    parts_.push_back({{worker, step::TurnPart::update}, step});
    const auto to_answer = turns_.take(worker);
    if (step + 1 < end_) parts_.push_back({{worker, step::TurnPart::receive}, step + 1});
    for (const int w : to_answer) {
      auto& before = answered_[static_cast<std::size_t>(w)];
      if (before >= 0) parts_.push_back({{w, step::TurnPart::settle}, before});
      before = first_ + static_cast<int>(turns_.clock_of(w)) - 1;
      parts_.push_back({{w, step::TurnPart::answer}, before});
    }
    if (turns_.taken() < pushes_) return;
    for (int w = 0; w < static_cast<int>(answered_.size()); ++w)
      parts_.push_back({{w, step::TurnPart::settle}, end_ - 1});
  }
  /// The server's step: as many pushes belong to it as there are workers. And whether it begins with the
  /// next.
  [[nodiscard]] int round() const { return first_ + static_cast<int>(turns_.taken() / workers()); }
  [[nodiscard]] bool is_between_rounds() const {
    return turns_.taken() > 0 && turns_.taken() % workers() == 0;
  }

 private:
  [[nodiscard]] std::int64_t workers() const { return std::ssize(answered_); }

  int first_;
  std::int64_t pushes_;
  step::Turns turns_;
  std::deque<Part> parts_;
  std::vector<int> answered_;  ///< by worker: the step of the last push that was
  int end_;
};

}  // namespace partita::sim
