/// The MPI library's own collectives as an application without Partita would call them: to be measured
/// against, not to be trained with. They block and spin without yielding the core, and no ledger books them.
#pragma once

#include "partita/comm/communicator.hpp"

namespace partita::comm {

/// MPI_Allreduce in place. Collective over the communicator.
void stock_all_reduce(const Communicator&, View buffer, Combine);

}  // namespace partita::comm
