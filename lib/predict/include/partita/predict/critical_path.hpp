/// What the step of a prediction hangs on, in names: resources of the machine, layers of the model.
#pragma once

#include <string>
#include <vector>

#include "partita/predict/prediction.hpp"

namespace partita::predict {

struct PathShare {
  /// "kernels conv", "kernels update", …; "core" to start transfers, wait for them and look after them, and
  /// between steps; of messages "network.LEVEL.latency" (…bandwidth, …overhead, …sharing) and
  /// "memory.bandwidth" to add them up; "window.bandwidth", "window.latency"; "library". With a dot they are
  /// figures of `--what-if`, but for sharing: what slower or shared links and gaps add to a message.
  std::string resource;
  std::string layer;  ///< "conv1+relu"; else what it belongs to: "gradients of fc1", "load", "between steps"
  machine::Picoseconds time = 0;
};

/// By resource and layer, the longest first: together exactly the step. None where the depth was not full.
std::vector<PathShare> critical_path_of(const Subject&, const machine::Machine&, const Prediction&);

/// The same shares by one of their names.
std::vector<std::pair<std::string, machine::Picoseconds>> added_up(const std::vector<PathShare>&,
                                                                   std::string PathShare::*name);

}  // namespace partita::predict
