#include "partita/step/traffic.hpp"

namespace partita::step {

std::map<collective::TrafficKey, PayloadOfStep> payload_of_step(const Program& program) {
  std::map<collective::TrafficKey, PayloadOfStep> payload;
  for (const auto& instruction : program.instructions) {
    if (instruction.kind != Kind::all_reduce) continue;
    const auto& reduction = program.reductions[static_cast<std::size_t>(instruction.reduction)];
    auto& row = payload[{.activity = collective::Activity::train,
                         .axis = reduction.axis,
                         .operation = collective::Operation::all_reduce,
                         .purpose = reduction.purpose}];
    row.calls += 1;
    row.payload += bytes_of(program.slots[static_cast<std::size_t>(reduction.slot)].type, reduction.count);
  }
  return payload;
}

}  // namespace partita::step
