/// What a training refuses, question by question.
#pragma once

#include <vector>

#include "partita/config/options.hpp"

namespace partita::config {

/// Parameter servers beside what else is asked for.
void check_servers(const RunOptions&, std::vector<base::Violation>&);

}  // namespace partita::config
