/// How far steps scatter where kernels do.
#pragma once

#include <cstdint>
#include <vector>

#include "partita/predict/prediction.hpp"

namespace partita::predict {

/// Kernels take longer or shorter than the machine says: each time by a factor of its own, and in each run by
/// one that all ranks share and one that all kernels of a rank do. Of factors' logarithms, whose medians
/// are 0.
struct Noise {
  machine::Variance deviation;
  std::uint64_t seed = 1;
};

/// Seconds of `count` successive steps in the steady state of each of `runs` runs, every rank simulated by
/// itself; where steps differ, of each run the mean of a period.
std::vector<double> noisy_steps(const Subject&, const Supposed&, std::int64_t batch, const Noise&, int count,
                                int runs = 1);

/// What is played where nobody says otherwise; more runs, where they differ.
struct NoisyPlay {
  int steps = 200, runs = 1;
};
NoisyPlay play_for(const machine::Variance&);

}  // namespace partita::predict
