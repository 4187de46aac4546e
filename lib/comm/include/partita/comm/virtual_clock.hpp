/// What time it is on a rank where only costs take time: what a machine says of messages and windows, and
/// what the clock is told of instructions. Real messages and kernels take as long as they take, and nobody
/// waits for them on this clock.
///
/// A transfer that is started while the clock runs has a clock of its own, by the rules of docs/predict.md:
/// its messages bring their times along in companions of eight bytes, which no ledger books. A machine's
/// load, and the order in which messages are noticed, change nothing; the times are those of the event model
/// (`sim::simulate`), to the picosecond.
#pragma once

#include <algorithm>
#include <utility>

#include "partita/machine/transfer_times.hpp"

namespace partita::comm {

class VirtualClock {
 public:
  /// Of a rank of the job, which shares its core as `Machine::crowding` says.
  VirtualClock(machine::Machine machine, int rank, double crowding)
      : machine_(std::move(machine)), part_(machine_.part_of(rank)), crowding_(crowding) {}

  [[nodiscard]] const machine::Machine& machine() const { return machine_; }
  /// The part of the machine that the rank is, and what says how it computes.
  [[nodiscard]] int part() const { return part_; }
  [[nodiscard]] const machine::Machine& own() const { return machine_.of_part(part_); }
  [[nodiscard]] double crowding() const { return crowding_; }
  [[nodiscard]] machine::TransferTimes times() const { return {machine_, crowding_}; }
  [[nodiscard]] machine::Picoseconds now() const { return now_; }
  [[nodiscard]] double now_seconds() const { return machine::seconds_of(now_); }
  void pass(machine::Picoseconds duration) { now_ += duration; }
  /// One of the machine's overheads.
  void pass_overhead(double seconds) { pass(times().overhead(seconds)); }
  void wait_until(machine::Picoseconds time) { now_ = std::max(now_, time); }
  /// For a measurement that begins on all ranks at once.
  void set(machine::Picoseconds now) { now_ = now; }

  /// Whether transfers that are started take time. What ranks exchange besides takes none.
  [[nodiscard]] bool runs() const { return runs_; }

  /// Lets a rank's clock run, where it has one.
  class Run {
   public:
    explicit Run(VirtualClock* clock) : clock_(clock) { set(true); }
    ~Run() { set(false); }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    void set(bool runs) const {
      if (clock_ != nullptr) clock_->runs_ = runs;
    }
    VirtualClock* clock_;
  };

 private:
  machine::Machine machine_;
  int part_;
  double crowding_;
  machine::Picoseconds now_ = 0;
  bool runs_ = false;
};

}  // namespace partita::comm
