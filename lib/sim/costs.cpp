/// Work of an instruction, and what the rounds of a transfer exchange, to seconds.
#include "partita/sim/costs.hpp"

#include <algorithm>

#include "partita/cost/time.hpp"

namespace partita::sim {
namespace {

/// A round sends and receives at the same time. What a vendor does counts as one round of what it is said to
/// send.
double picoseconds_of(const step::ResolvedTransfer& transfer, const machine::Machine& machine) {
  const auto& [spec, at] = transfer;
  const auto rounds = is_vendors(spec) ? 1 : active_rounds(rounds_of(spec, at));
  const auto counts = traffic_of(spec, at);
  const auto bytes = std::max(counts.wire_bytes, counts.wire_bytes_received) + counts.window_bytes_read +
                     counts.window_bytes_written + counts.modelled_wire_bytes.value_or(collective::Bytes(0));
  return cost::picoseconds_of_transfer(static_cast<double>(bytes.value()), machine,
                                       static_cast<double>(rounds));
}

}  // namespace

Costs costs_on(const machine::Machine& machine, const step::ProgramsByRank& programs, std::int64_t batch,
               const step::Site& site) {
  Costs costs;
  costs.instruction_seconds = [&machine, &programs, batch](int rank, const step::Instruction& instruction) {
    const auto& program = *programs[static_cast<std::size_t>(rank)];
    const auto samples = program.samples_of(instruction.microbatch, rank, batch);
    return cost::picoseconds_of(cost::work_of(program, instruction, samples), machine) *
           cost::seconds_of_picosecond;
  };
  costs.transfer_seconds = [&machine, &programs, batch, site](int rank, const step::Transfer& transfer) {
    const auto& program = *programs[static_cast<std::size_t>(rank)];
    return picoseconds_of(step::resolve(program, transfer, rank, batch, site), machine) *
           cost::seconds_of_picosecond;
  };
  return costs;
}

}  // namespace partita::sim
