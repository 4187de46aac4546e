/// What an asynchronous server has to do: parts of turns, one after the other, which it decides as pushes
/// come.
#pragma once

#include <array>
#include <deque>
#include <iterator>
#include <limits>
#include <optional>
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
        end_(first + steps),
        begin_(answered_.size()),
        receives_(answered_.size()) {
    for (std::size_t i = program.instructions.size(); i-- > 0;)
      if (const auto& instruction = program.instructions[i]; instruction.turn) {
        const auto worker = static_cast<std::size_t>(instruction.turn->worker);
        begin_[worker][static_cast<std::size_t>(instruction.turn->part)] = i;
        if (instruction.turn->part == step::TurnPart::receive)
          receives_[worker].push_back(*instruction.transfer);
      }
    for (int worker = 0; worker < program.workers(); ++worker)
      parts_.push_back({{worker, step::TurnPart::receive}, first});
  }

  [[nodiscard]] bool is_over() const { return parts_.empty() && turns_.taken() == pushes_; }
  [[nodiscard]] const std::deque<Part>& parts() const { return parts_; }
  void end_part() { parts_.pop_front(); }
  /// The number of the first instruction of a part; the others follow it.
  [[nodiscard]] std::size_t begin_of(const step::Turn& turn) const {
    return begin_[static_cast<std::size_t>(turn.worker)][static_cast<std::size_t>(turn.part)];
  }
  /// All that a push of a worker comes by.
  [[nodiscard]] const std::vector<step::TransferId>& receives_of(int worker) const {
    return receives_[static_cast<std::size_t>(worker)];
  }
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
  std::vector<std::array<std::size_t, 4>> begin_;        ///< by worker and part
  std::vector<std::vector<step::TransferId>> receives_;  ///< by worker
};

}  // namespace partita::sim
