/// What a run would do, without doing it: the text of --dry-run and --print-program.
#pragma once

#include <string>

#include "partita/config/options.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::train {

/// Grid and model; of every role (stage and share on the tensor axis) its layers with the shapes of their
/// shards, parameters, memory by kind, and the payload of a step by axis, operation and purpose.
std::string describe(const config::RunOptions&, const kernels::Backend&);

/// The instructions of a rank's step.
std::string describe_program(const config::RunOptions&, const kernels::Backend&, int rank);

}  // namespace partita::train
