/// The caches between a core and its memory, as a rank has them.
#pragma once

#include <vector>

#include "partita/calibrate/group.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

struct Caches {
  std::vector<machine::Cache> all;  ///< from the innermost on
  double read_bytes = 0;            ///< of the blocks that were read to find the end of the outermost
  bool has_end = false;             ///< whether that was found; on the first rank
};

/// As the system of the first rank names them, but for the outermost: guests of other virtual machines use
/// it, too, so that what a rank has of it is measured, up to `most_bytes`. Collective over the world, whose
/// first rank reads alone before all read at once, if they have a core each (`at_once`).
Caches measure_caches(comm::Communicator& world, comm::Communicator& self, int node_cores, bool at_once,
                      std::int64_t most_bytes);

}  // namespace partita::calibrate
