/// FLOPs of an instruction's layer and payload of a transfer, by rates. An all-reduce counts its payload
/// twice, whichever algorithm it takes; updates, losses and copies are free.
#include "partita/sim/rates.hpp"

namespace partita::sim {
namespace {

std::int64_t samples_of(const step::Program& program, int rank, int microbatch, bool share,
                        std::int64_t batch) {
  const auto at = topology::coordinate_of(program.grid, rank);
  const auto whole = program.microbatch(microbatch, at.data, batch).size();
  return share ? topology::share(at.tensor, program.grid.tensor, whole).size() : whole;
}

}  // namespace

Costs costs_by_rates(const step::ProgramsByRank& programs, std::int64_t batch,
                     const step::MachineRates& rates) {
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
  costs.transfer_seconds = [&programs, batch, rates](int rank, const step::Transfer& transfer) {
    const auto& program = *programs[static_cast<std::size_t>(rank)];
    const auto samples =
        transfer.microbatch < 0 ? 0 : samples_of(program, rank, transfer.microbatch, false, batch);
    const auto bytes = bytes_of(program.slots[static_cast<std::size_t>(transfer.slot)].type,
                                program.payload(transfer, samples));
    const double passes = transfer.operation == collective::Operation::all_reduce ? 2 : 1;
    return rates.latency_seconds +
           passes * static_cast<double>(bytes.value()) / rates.tensor_bytes_per_second;
  };
  return costs;
}

}  // namespace partita::sim
