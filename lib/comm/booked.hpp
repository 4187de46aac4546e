/// What every collective does around its run: the state machine of start, test and wait, and the booking.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "partita/base/clock.hpp"
#include "staged.hpp"
#include "state.hpp"
#include "transfer_clock.hpp"

namespace partita::comm {

class BookedCollective : public Collective, private Progressing {
 public:
  /// `counts` and `peers` (ranks of the communicator) are what one run exchanges.
  BookedCollective(std::shared_ptr<Communicator::State> state, Description description,
                   collective::TrafficCounts counts, std::vector<collective::PeerCounts> peers, Staged staged)
      : staged_(std::move(staged)),
        state_(std::move(state)),
        description_(description),
        counts_(counts),
        peers_(std::move(peers)) {
    counts_.staged_bytes = bytes_of(description.type, staged_.elements());
    for (auto& peer : peers_)
      peer.peer = state_->job_rank[static_cast<std::size_t>(peer.peer)];
    counts_.calls = 1;
    counts_.payload_bytes = bytes_of(description.type, description.elements);
    if (description.operation == collective::Operation::barrier) counts_.payload_bytes = Bytes(0);
    auto& runtime = *state_->runtime;
    shown_ = {.group = state_->group.id,
              .operation = static_cast<std::uint8_t>(description_.operation),
              .axis = static_cast<std::uint8_t>(state_->axis),
              .purpose = static_cast<std::uint8_t>(description_.purpose),
              .elements = description_.elements.value()};
    if (!shown_.is_message()) shown_.plan = ++state_->group.plans;
    runtime.active.reserve(static_cast<std::size_t>(++runtime.planned));
  }
  ~BookedCollective() override {
    state_->runtime->remove(this);
    --state_->runtime->planned;
  }

  const Description& description() const override { return description_; }
  void set_alone_seconds(double seconds) override { alone_seconds_ = seconds; }

  void start() override {
    base::expect(!running_, "a collective is started when its last run is over");
    const double begun = state_->runtime->now_seconds();
    running_ = true;
    timed_ = state_->runtime->clock && state_->runtime->clock->runs();
    if (timed_) begin_virtual();
    staged_.begin();
    key_ = {.activity = state_->runtime->ledger.activity(),
            .axis = state_->axis,
            .operation = description_.operation,
            .purpose = description_.purpose};
    state_->runtime->ledger.add(key_, counts_);
    state_->runtime->ledger.add_peers(key_.activity, key_.axis, peers_, state_->job_size);
    state_->runtime->active.push_back(this);
    if (shown_.is_message()) {
      ++shown_.number;
      state_->runtime->watch->started(shown_);
    } else {
      state_->runtime->watch->started(state_->group, shown_);
    }
    begin();
    advance();
    taken_seconds_ = state_->runtime->now_seconds() - begun;
  }
  bool test() override {
    if (running_) advance();
    return !running_;
  }
  void wait() override {
    const double exposed =
        std::exchange(waited_seconds_, 0) + (staged_.is_used() ? wait_beside_device() : wait_on_core());
    taken_seconds_ = 0;
    collective::TrafficCounts waited;
    waited.exposed_seconds = exposed;
    waited.hidden_seconds = std::max(0.0, alone_seconds_ - exposed);
    state_->runtime->ledger.add(key_, waited);
  }
  void wait_until(const std::function<bool()>& done) override {
    const double before = state_->runtime->now_seconds();
    comm::wait_until(*state_->runtime, shown_, done);
    waited_seconds_ += state_->runtime->now_seconds() - before;
  }
  void catch_up() override {
    if (timed_) clock_->catch_up();
  }

 protected:
  /// Prepares a run.
  virtual void begin() = 0;
  /// Moves the run on; true when it is complete.
  virtual bool step() = 0;
  Communicator::State& state() { return *state_; }
  /// Of this run; null where it takes this host's time, or none.
  [[nodiscard]] TransferClock* clock() { return timed_ ? &*clock_ : nullptr; }
  /// For destructors, before the buffers go: where an exception destroys the operation under way, its job is
  /// contained and nothing may be written or read here any more.
  void abandon(MPI_Request& receive, MPI_Request& send) noexcept {
    if (running_ && state_->runtime->containment) state_->runtime->containment->end(receive, send);
  }
  /// The same for requests that cannot be ended.
  void lose() noexcept {
    if (running_ && state_->runtime->containment) state_->runtime->containment->lose();
  }
  void show_message(int peer, int tag) {
    shown_.peer = state_->world_rank[static_cast<std::size_t>(peer)];
    shown_.plan = tag;
  }
  [[nodiscard]] const Shown& shown() const { return shown_; }

  Staged staged_;

 private:
  void begin_virtual() {
    if (!clock_)
      clock_.emplace(*state_, *state_->runtime->clock, bytes_of(description_.type, kernels::Elements(1)));
    clock_->begin();
  }
  /// Exposed is what the run took of this core: to start, to move on, to wait.
  double wait_on_core() {
    const double before = state_->runtime->now_seconds();
    if (running_) comm::wait_until(*state_->runtime, shown_, [this] { return !running_; });
    if (timed_) clock_->await();
    return taken_seconds_ + state_->runtime->now_seconds() - before;
  }
  /// Exposed is the time in which the device has nothing to do: from when it, too, has come to the wait.
  double wait_beside_device() {
    staged_.await();
    double idle_since = INFINITY;
    if (running_)
      comm::wait_until(*state_->runtime, shown_, [&] {
        if (std::isinf(idle_since) && staged_.caught_up()) idle_since = base::now_seconds();
        return !running_;
      });
    staged_.release();
    return std::max(0.0, base::now_seconds() - idle_since);
  }

  void progress() final {
    const double before = state_->runtime->now_seconds();
    advance();
    taken_seconds_ += state_->runtime->now_seconds() - before;
  }
  void advance() final {
    if (!running_ || !step()) return;
    running_ = false;
    state_->runtime->remove(this);
  }

  std::shared_ptr<Communicator::State> state_;
  Description description_;
  collective::TrafficCounts counts_;
  std::vector<collective::PeerCounts> peers_;  ///< ranks of the world
  collective::TrafficKey key_;
  Shown shown_;  ///< to other ranks
  double alone_seconds_ = 0;
  double waited_seconds_ = 0;  ///< for what ends with the run, if not before
  double taken_seconds_ = 0;   ///< of this core, by starting and moving on between kernels
  bool running_ = false;
  bool timed_ = false;  ///< this run, in virtual time
  std::optional<TransferClock> clock_;
};

}  // namespace partita::comm
