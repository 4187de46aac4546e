/// GoogleTest on every rank of an MPI job.
#pragma once

#include "partita/comm/communicator.hpp"

namespace partita::tests {

/// MPI's environment, alive while tests run.
comm::MpiEnvironment& environment();

/// All ranks; made once, since making a communicator is slow when ranks exceed cores.
comm::Communicator& world();

}  // namespace partita::tests
