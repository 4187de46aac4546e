/// The depths that walk each stage's program once.
#pragma once

#include "partita/sim/simulate.hpp"

namespace partita::sim {

/// See `Depth::plane`.
Simulation simulate_plane(const step::ProgramsByRank&, const Costs&, int steps,
                          const std::vector<int>& spans_of);

/// See `Depth::classes`.
Simulation simulate_classes(const step::ProgramsByRank&, const Costs&, int steps,
                            const std::vector<int>& spans_of);

}  // namespace partita::sim
