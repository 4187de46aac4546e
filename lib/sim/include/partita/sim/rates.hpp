/// Costs by rates: FLOPs ÷ speed and bytes ÷ bandwidth, before anything was measured. Good for comparing
/// splits, not for seconds.
#pragma once

#include "partita/sim/simulate.hpp"
#include "partita/step/placement.hpp"
#include "partita/step/rounds.hpp"

namespace partita::sim {

/// Costs of a batch of `batch` samples. Compute instructions cost their FLOPs; messages and collectives the
/// bytes that this rank's rounds exchange, and a latency for each round; copies and updates cost nothing. The
/// programs outlive the costs.
Costs costs_by_rates(const step::ProgramsByRank&, std::int64_t batch, const step::MachineRates&,
                     const step::Site&);

}  // namespace partita::sim
