/// Parameters of which ranks hold a share each, gathered for the passes that need them.
#pragma once

#include "partita/step/plan.hpp"
#include "partita/step/program.hpp"

namespace partita::step {

/// Gives the passes of a program whole buckets where it holds shares: each gathered once and kept to its last
/// use, or again for each run of passes that use it. A gather is started while the one before it is in use.
void insert_gathers(Program&, Gather);

}  // namespace partita::step
