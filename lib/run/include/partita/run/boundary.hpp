/// What all ranks agree on between two steps: the time that has passed, and whether anybody asked to stop.
#pragma once

#include <array>
#include <functional>

#include "partita/comm/communicator.hpp"

namespace partita::run {

/// Asks the ranks rarely, about four times a second whatever a step takes, in a small all-reduce that is
/// booked under the activity `record`. What follows from its answer is the same on all ranks at the same
/// step.
class Boundary {
 public:
  struct Options {
    double snapshot_seconds = 0;             ///< between snapshots of the result; 0: none
    double checkpoint_seconds = 0;           ///< between checkpoints; 0: none
    std::function<bool()> interrupted = {};  ///< whether this rank was asked to stop; empty: never
    /// Whether this rank still writes the last checkpoint, so that none is due by time; empty: never.
    std::function<bool()> is_writing = {};
  };
  /// Collective over `world`, which outlives the boundary. Without anything to agree on it never
  /// communicates.
  Boundary(comm::Communicator& world, Options);

  struct Due {
    bool snapshot = false, checkpoint = false, stop = false;
  };
  /// To be called after every step, on every rank. The same on all ranks.
  Due after_step();
  /// A checkpoint was begun for another reason: the next is due an interval from now.
  void restart_checkpoint() { checkpoint_begin_ = agreed_seconds_; }

 private:
  [[nodiscard]] bool is_over(double interval, double& begin) const;

  comm::Communicator& world_;
  Options options_;
  double begin_seconds_;
  double agreed_seconds_ = 0;  ///< since the start, the longest of all ranks'
  double snapshot_begin_ = 0, checkpoint_begin_ = 0;
  std::array<double, 3> asked_{};  ///< seconds, whether to stop, whether writing; reduced in place
  std::int64_t steps_ = 0, ask_at_ = 1;
  std::unique_ptr<comm::Collective> most_;
};

}  // namespace partita::run
