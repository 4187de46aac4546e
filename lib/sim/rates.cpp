/// FLOPs of an instruction's layer, and what the rounds of a transfer exchange, by rates; updates, losses and
/// copies are free.
#include "partita/sim/rates.hpp"

#include <algorithm>

namespace partita::sim {
namespace {

std::int64_t samples_of(const step::Program& program, int rank, int microbatch, bool share,
                        std::int64_t batch) {
  const auto at = topology::coordinate_of(program.grid, rank);
  const auto whole = program.microbatch(microbatch, at.data, batch).size();
  return share ? topology::share(at.tensor, program.grid.tensor, whole).size() : whole;
}

/// A round sends and receives at the same time. What a vendor does counts as one round of what it is said to
/// send.
double seconds_of(const step::ResolvedTransfer& transfer, const step::MachineRates& rates) {
  const auto& [spec, at] = transfer;
  const auto rounds = is_vendors(spec) ? 1 : active_rounds(rounds_of(spec, at));
  const auto counts = traffic_of(spec, at);
  const auto bytes = std::max(counts.wire_bytes, counts.wire_bytes_received) + counts.window_bytes_read +
                     counts.window_bytes_written + counts.modelled_wire_bytes.value_or(collective::Bytes(0));
  return static_cast<double>(rounds) * rates.latency_seconds +
         static_cast<double>(bytes.value()) / rates.tensor_bytes_per_second;
}

}  // namespace

Costs costs_by_rates(const step::ProgramsByRank& programs, std::int64_t batch,
                     const step::MachineRates& rates, const step::Site& site) {
  Costs costs;
  costs.instruction_seconds = [&programs, batch, rates](int rank, const step::Instruction& instruction) {
    if (instruction.unit < 0 || instruction.phase == step::Phase::activation) return 0.0;
    const auto& program = *programs[static_cast<std::size_t>(rank)];
    const auto& unit = program.units[static_cast<std::size_t>(instruction.unit)];
    if (unit.idle) return 0.0;
    const auto samples =
        samples_of(program, rank, instruction.microbatch, unit.variant == step::Variant::batch, batch);
    return unit.local.forward_flops() * static_cast<double>(samples) / rates.flops_per_second;
  };
  costs.transfer_seconds = [&programs, batch, rates, site](int rank, const step::Transfer& transfer) {
    const auto& program = *programs[static_cast<std::size_t>(rank)];
    return seconds_of(step::resolve(program, transfer, rank, batch, site), rates);
  };
  return costs;
}

}  // namespace partita::sim
