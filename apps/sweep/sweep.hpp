/// Runs a sweep on groups of the job's ranks.
#pragma once

#include "configurations.hpp"

namespace partita::sweep {

/// What of the groups does not fit the job: more ranks a group than there are, a configuration that asks for
/// ranks on one node where its group has none.
std::vector<base::Violation> check_groups(const Options&, const std::vector<Configuration>&,
                                          std::span<const int> nodes);

/// Runs all configurations of the shard and prints the summary on rank 0. The exit code. Collective.
int run(const Options&, std::vector<Configuration>&, comm::MpiEnvironment&, comm::Communicator& world);

/// Writes the index anew and prints the summary.
int index_only(const Options&, const std::vector<Configuration>&);

}  // namespace partita::sweep
