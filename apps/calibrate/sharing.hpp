/// What ranks that share a core lose to each other.
#pragma once

#include "partita/calibrate/group.hpp"
#include "partita/comm/environment.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// Binds all ranks to one core of each node for a moment, in which the first two hand each other messages.
/// `cores` are those of a node; where two ranks cannot be brought to one core, or a node has more than eight,
/// that is all that is known. On rank 0. Collective over the world.
machine::Cores measure_sharing(comm::MpiEnvironment&, comm::Communicator& world, comm::Communicator& self,
                               int cores);

}  // namespace partita::calibrate
