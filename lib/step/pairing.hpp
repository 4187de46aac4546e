/// Whether transfers of different ranks fit together.
#pragma once

#include <string>
#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::step {

/// A line for each transfer that lacks its other half or a member, and for each two that differ in what they
/// move.
std::vector<std::string> faults_between(const ProgramsByRank&, std::int64_t batch);

}  // namespace partita::step
