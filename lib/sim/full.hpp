/// The oracle of all depths.
#pragma once

#include "partita/sim/simulate.hpp"

namespace partita::sim {

/// See `Depth::full`.
Simulation simulate_full(const step::ProgramsByRank&, const Costs&, int steps);

}  // namespace partita::sim
