/// What is left of a long training where nodes fail: how often to checkpoint, and the share of time that is
/// useful then.
#pragma once

#include <cstdint>

#include "partita/predict/prediction.hpp"

namespace partita::predict {

struct Failures {
  double mtbf_seconds = 0;        ///< of the whole job: a node's ÷ nodes
  double checkpoint_seconds = 0;  ///< that training stands still for one
  double restart_seconds = 0;     ///< from a failure to the first new step
};

/// What a checkpoint of the training stores of its model: all parameters, and of those that are trained the
/// optimizer's states, which data ranks may each have of their own, and what else updates find there.
kernels::Bytes checkpoint_bytes(const Subject&);

/// Between two checkpoints, first-order: √(2 · checkpoint · MTBF) (Young 1974, doi:10.1145/361147.361115).
double young_seconds(const Failures&);
/// Of higher order (Daly 2006, doi:10.1016/j.future.2004.11.016).
double daly_seconds(const Failures&);

/// Time of useful work ÷ time, with a checkpoint after each `interval_seconds` of work and failures at
/// exponentially distributed times, also during checkpoints and restarts: as `failures` of them came.
double goodput(const Failures&, double interval_seconds, int failures, std::uint64_t seed);

}  // namespace partita::predict
