/// Costs by what a machine can do: good for comparing splits; for seconds as far as the machine was measured.
#pragma once

#include "partita/machine/machine.hpp"
#include "partita/sim/simulate.hpp"
#include "partita/step/rounds.hpp"

namespace partita::sim {

/// Costs of a batch of `batch` samples at a site. Instructions cost their work (`cost::work_of`); messages
/// and collectives the bytes that this rank's rounds exchange, and a latency for each round. Programs and
/// machine outlive the costs.
Costs costs_on(const machine::Machine&, const step::ProgramsByRank&, std::int64_t batch, const step::Site&);

}  // namespace partita::sim
