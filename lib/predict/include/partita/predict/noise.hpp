/// How far steps scatter where instructions do.
#pragma once

#include <cstdint>
#include <vector>

#include "partita/predict/prediction.hpp"

namespace partita::predict {

/// Kernels take longer or shorter than the machine says, each time and on each rank by a factor of its own.
struct Noise {
  double deviation = 0;  ///< of the factor's logarithm, whose median is 0
  std::uint64_t seed = 1;
};

/// Seconds of `count` successive steps in the steady state, every rank simulated by itself.
std::vector<double> noisy_steps(const Subject&, const Supposed&, std::int64_t batch, const Noise&, int count);

}  // namespace partita::predict
