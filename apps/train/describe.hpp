/// What a run would do, without doing it: the text of --dry-run.
#pragma once

#include <string>

#include "partita/config/options.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::train {

/// Grid, layers with shapes and parameters, memory of a rank, payload of a step by purpose, on demand the
/// program.
std::string describe(const config::RunOptions&, const kernels::Backend&);

}  // namespace partita::train
