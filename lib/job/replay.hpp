/// The order of pushes that asynchronous servers are told to follow.
#pragma once

#include "partita/job/job.hpp"

namespace partita::job {

/// Reads the order that `server.replay` names, and refuses one that this run's servers cannot follow.
void read_replay(Input&);

}  // namespace partita::job
