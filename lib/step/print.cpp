/// The words for the parts of a program, as results and --print-program have them, and a program's listing,
/// one instruction a line.
#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>

#include "partita/step/program.hpp"

namespace partita::step {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::load:
      return "load";
    case Kind::forward:
      return "forward";
    case Kind::loss:
      return "loss";
    case Kind::backward:
      return "backward";
    case Kind::convert:
      return "convert";
    case Kind::pack:
      return "pack";
    case Kind::unpack:
      return "unpack";
    case Kind::combine:
      return "combine";
    case Kind::average:
      return "average";
    case Kind::encode:
      return "encode";
    case Kind::decode:
      return "decode";
    case Kind::sum:
      return "sum";
    case Kind::share:
      return "share";
    case Kind::norm:
      return "norm";
    case Kind::start:
      return "start";
    case Kind::wait:
      return "wait";
    case Kind::update:
      return "update";
  }
  return "unknown";
}

std::string_view to_string(Queue queue) {
  switch (queue) {
    case Queue::compute:
      return "compute";
    case Queue::copy:
      return "copy";
    case Queue::communication:
      return "communication";
  }
  return "unknown";
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::none:
      return "";
    case Phase::activation:
      return "activation";
    case Phase::parameters:
      return "parameters";
    case Phase::data:
      return "data";
    case Phase::statistics:
      return "statistics";
    case Phase::finish:
      return "finish";
  }
  return "unknown";
}

std::string_view to_string(SlotRole role) {
  switch (role) {
    case SlotRole::input:
      return "input";
    case SlotRole::labels:
      return "labels";
    case SlotRole::activation:
      return "activation";
    case SlotRole::saved:
      return "saved";
    case SlotRole::gradient:
      return "gradient";
    case SlotRole::message:
      return "message";
    case SlotRole::statistics:
      return "statistics";
    case SlotRole::norm:
      return "norm";
    case SlotRole::parameters:
      return "parameters";
    case SlotRole::parameter_gradients:
      return "parameter_gradients";
    case SlotRole::optimizer_state:
      return "optimizer_state";
    case SlotRole::anchor:
      return "anchor";
    case SlotRole::outer_velocity:
      return "outer_velocity";
    case SlotRole::residual:
      return "residual";
    case SlotRole::basis:
      return "basis";
    case SlotRole::loss_scale:
      return "loss_scale";
    case SlotRole::pushed:
      return "pushed";
    case SlotRole::pushed_metric:
      return "pushed_metric";
    case SlotRole::answer:
      return "answer";
    case SlotRole::metric:
      return "metric";
  }
  return "unknown";
}

std::string name_of(const Unit& unit, const model::ModelSpec& model) {
  return model.layers[static_cast<std::size_t>(unit.layer)].name + (unit.fused_relu ? "+relu" : "");
}

std::string to_string(const Program& program, const model::ModelSpec& model) {
  std::ostringstream out;
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    out << std::setw(4) << i << "  " << std::left << std::setw(14) << to_string(instruction.queue)
        << std::setw(9) << to_string(instruction.kind) << std::setw(11) << to_string(instruction.phase)
        << std::right;
    if (instruction.unit) {
      out << ' ' << name_of(program.units[*instruction.unit], model);
    }
    if (instruction.microbatch) out << " mb " << *instruction.microbatch;
    if (instruction.bucket) out << " bucket " << *instruction.bucket;
    if (instruction.conversion) {
      const auto& conversion = program.conversions[*instruction.conversion];
      out << ' ' << to_string(conversion.from) << " -> " << to_string(conversion.to);
    }
    if (instruction.transfer) {
      const auto& transfer = program.transfers[*instruction.transfer];
      out << " #" << *instruction.transfer << ' ' << to_string(transfer.operation) << ' '
          << to_string(transfer.purpose) << " over " << to_string(transfer.axis);
      const bool reduces = transfer.operation == collective::Operation::all_reduce ||
                           transfer.operation == collective::Operation::reduce_scatter;
      if (reduces) out << ", " << to_string(transfer.combine) << " of " << to_string(transfer.type);
      if (transfer.algorithm != collective::Algorithm::automatic)
        out << " by " << to_string(transfer.algorithm);
      if (transfer.peer) out << " peer " << *transfer.peer << " tag " << *transfer.tag;
      const auto& slot = program.slots[transfer.slot];
      if (slot.lifetime == Lifetime::run && slot.fixed > Elements(0))
        out << ", " << slot.fixed << " elements";
    }
    if (instruction.turn) out << ", worker " << instruction.turn->worker;
    const auto kinds = kinds_of(program.cadence);
    if (!std::ranges::all_of(kinds, [&](StepKind kind) { return instruction.in.has(kind); })) {
      const char* separator = "  [";
      for (const auto kind : kinds)
        if (instruction.in.has(kind)) out << std::exchange(separator, " ") << to_string(kind);
      out << ']';
    }
    out << '\n';
  }
  return out.str();
}

}  // namespace partita::step
