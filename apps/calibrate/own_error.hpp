/// How well a machine file predicts the steps that it was measured by.
#pragma once

#include <iosfwd>
#include <vector>

#include "calibration.hpp"

namespace partita::calibrate {

struct Prediction {
  std::string network;
  double measured_seconds = 0;
  double predicted_seconds = 0;  ///< by all that was measured
  double held_out_seconds = 0;   ///< by kernels of other networks alone
};

/// Steps of the networks, simulated on the machine; and once more in five parts, each by the kernels of the
/// networks in the other four.
std::vector<Prediction> predict(const Calibration&, const step::TensorFormat&);

/// A line a network, then means of the errors' magnitudes and of the errors.
void print(std::ostream&, const std::vector<Prediction>&);

}  // namespace partita::calibrate
