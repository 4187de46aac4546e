/// Counts a program's transfers: calls and payload by axis, operation and purpose. How many bytes an
/// algorithm moves for a payload is the business of `collective`.
#include "partita/step/traffic.hpp"

namespace partita::step {

Elements Program::payload(const Transfer& transfer, std::int64_t samples) const {
  if (transfer.microbatch < 0) return transfer.count;
  return elements(slots[static_cast<std::size_t>(transfer.slot)], samples);
}

std::map<collective::TrafficKey, PayloadOfStep> payload_of_step(const Program& program, int data_rank,
                                                                std::int64_t batch) {
  std::map<collective::TrafficKey, PayloadOfStep> payload;
  for (const auto& transfer : program.transfers) {
    auto& row = payload[{.activity = collective::Activity::train,
                         .axis = transfer.axis,
                         .operation = transfer.operation,
                         .purpose = transfer.purpose}];
    const auto samples =
        transfer.microbatch < 0 ? 0 : program.microbatch(transfer.microbatch, data_rank, batch).size();
    row.calls += 1;
    row.payload += bytes_of(program.slots[static_cast<std::size_t>(transfer.slot)].type,
                            program.payload(transfer, samples));
  }
  return payload;
}

}  // namespace partita::step
