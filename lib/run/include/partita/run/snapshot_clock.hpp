/// Decides inside an epoch, alike on all ranks, when the next snapshot of the result is due.
#pragma once

#include "partita/comm/communicator.hpp"

namespace partita::run {

/// Asks the ranks rarely: after each agreement on the time that has passed, half of the steps that should
/// remain go by unasked, so that an interval costs a few small all-reduces whatever a step takes. They are
/// booked under the activity `record`.
class SnapshotClock {
 public:
  /// `interval_seconds` 0: never due. Collective over `world`, which outlives the clock.
  SnapshotClock(comm::Communicator& world, double interval_seconds);
  /// To be called after every step, on every rank. True on all ranks at the same step.
  bool due();

 private:
  comm::Communicator& world_;
  double interval_seconds_, begin_seconds_;
  double elapsed_seconds_ = 0;  ///< reduced in place
  std::int64_t steps_ = 0, ask_at_ = 1;
  std::unique_ptr<comm::Collective> longest_;
};

}  // namespace partita::run
