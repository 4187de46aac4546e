/// How much longer kernels of a rank take while messages move on its node.
#pragma once

#include <vector>

#include "partita/calibrate/group.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// A product within caches, and a pass over vectors beyond the caches of a core, on rank 0: each alone and,
/// in turn with that, while rank 1 copies as the sender of a message in shared memory does. Of the medians;
/// nothing where rank 1 is not there or on another node. The same on all ranks. Collective.
std::vector<machine::Slowdown> measure_slowdowns(comm::Communicator& world, kernels::Backend&);

}  // namespace partita::calibrate
