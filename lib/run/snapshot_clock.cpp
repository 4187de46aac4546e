#include "partita/run/snapshot_clock.hpp"

#include <algorithm>

#include "partita/base/clock.hpp"

namespace partita::run {

SnapshotClock::SnapshotClock(comm::Communicator& world, double interval_seconds)
    : world_(world), interval_seconds_(interval_seconds), begin_seconds_(base::now_seconds()) {
  if (interval_seconds > 0)
    longest_ = world.plan_all_reduce(std::span(&elapsed_seconds_, 1), comm::Combine::max,
                                     comm::Algorithm::automatic, collective::Purpose::control);
}

bool SnapshotClock::due() {
  if (++steps_ < ask_at_ || !longest_) return false;
  const auto activity = world_.ledger().activity();
  world_.ledger().set_activity(collective::Activity::record);
  elapsed_seconds_ = base::now_seconds() - begin_seconds_;
  longest_->start();
  longest_->wait();
  world_.ledger().set_activity(activity);
  const bool is_due = elapsed_seconds_ >= interval_seconds_;
  const double per_step = std::max(elapsed_seconds_, 1e-9) / static_cast<double>(steps_);
  const double remaining_seconds = is_due ? interval_seconds_ : interval_seconds_ - elapsed_seconds_;
  const auto wait_steps = static_cast<std::int64_t>(std::clamp(0.5 * remaining_seconds / per_step, 1.0, 1e9));
  if (is_due) steps_ = 0, begin_seconds_ = base::now_seconds();
  ask_at_ = steps_ + wait_steps;
  return is_due;
}

}  // namespace partita::run
