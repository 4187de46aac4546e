/// When ranks ask each other: all after the same step, about four times a second. How many steps that is
/// follows from the time that the last question agreed on, so that nobody asks alone.
#include "partita/run/boundary.hpp"

#include <algorithm>

#include "partita/base/clock.hpp"

namespace partita::run {
namespace {

/// Between two questions.
constexpr double interval_seconds = 0.25;

}  // namespace

Boundary::Boundary(comm::Communicator& world, Options options)
    : world_(world), options_(std::move(options)), begin_seconds_(base::now_seconds()) {
  if (options_.snapshot_seconds > 0 || options_.checkpoint_seconds > 0 || options_.interrupted)
    most_ = world.plan_all_reduce(std::span(asked_), comm::Combine::max, comm::Algorithm::automatic,
                                  collective::Purpose::control);
}

bool Boundary::is_over(double interval, double& begin) const {
  if (interval <= 0 || agreed_seconds_ - begin < interval) return false;
  begin = agreed_seconds_;
  return true;
}

Boundary::Due Boundary::after_step() {
  if (!most_ || ++steps_ < ask_at_) return {};
  const auto activity = world_.ledger().activity();
  world_.ledger().set_activity(collective::Activity::record);
  asked_ = {base::now_seconds() - begin_seconds_, options_.interrupted && options_.interrupted() ? 1.0 : 0.0,
            options_.is_writing && options_.is_writing() ? 1.0 : 0.0};
  most_->start();
  most_->wait();
  world_.ledger().set_activity(activity);
  agreed_seconds_ = asked_[0];
  // The interval of steps follows from agreed numbers alone.
  const double per_step = std::max(agreed_seconds_, 1e-9) / static_cast<double>(steps_);
  ask_at_ = steps_ + static_cast<std::int64_t>(std::clamp(interval_seconds / per_step, 1.0, 1e9));
  return {.snapshot = is_over(options_.snapshot_seconds, snapshot_begin_),
          .checkpoint = asked_[2] == 0 && is_over(options_.checkpoint_seconds, checkpoint_begin_),
          .stop = asked_[1] > 0};
}

}  // namespace partita::run
