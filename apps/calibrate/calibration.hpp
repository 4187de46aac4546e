/// A calibration from its beginning to its machine.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "kernels.hpp"
#include "options.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// What was found; on rank 0.
struct Calibration {
  machine::Machine machine;
  std::vector<TrainedNetwork> networks;
  Durations durations;             ///< of the kernels in them
  std::vector<std::string> notes;  ///< what the machine's statements have no place for
};

/// Who measures: all ranks, with nodes as they are or as they are imitated, and this one alone.
struct Ranks {
  comm::MpiEnvironment& environment;
  comm::Communicator &world, &self;
  int node_cores = 1;      ///< of a node of `world`
  bool have_cores = true;  ///< of their own: what all do at once is measured
};

/// Measures within the budget of the options. What is done and found is said on `progress`, on rank 0.
/// Collective over the world.
Calibration measure(const Ranks&, kernels::Backend&, const Options&, std::ostream& progress);

}  // namespace partita::calibrate
