/// The engine of events: the oracle of all depths, and of representatives what classes are where messages
/// meet or cores move transfers on.
#pragma once

#include "partita/sim/simulate.hpp"

namespace partita::sim {

class Quotient;

/// See `Depth::full`.
Simulation simulate_full(const step::ProgramsByRank&, const Costs&, const std::vector<step::StepKind>&);

/// Of the representatives, by class; with neither classes nor a critical path.
Simulation simulate_representatives(const step::ProgramsByRank&, const Costs&,
                                    const std::vector<step::StepKind>&, const Quotient&);

}  // namespace partita::sim
