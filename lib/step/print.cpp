#include <iomanip>
#include <sstream>

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
    case Kind::all_reduce:
      return "all_reduce";
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
  }
  return "unknown";
}

std::string to_string(const Program& program, const model::ModelSpec& model) {
  std::ostringstream out;
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    out << std::setw(4) << i << "  " << std::left << std::setw(14) << to_string(instruction.queue)
        << std::setw(11) << to_string(instruction.kind) << std::setw(11) << to_string(instruction.phase)
        << std::right;
    if (instruction.unit >= 0) {
      const auto& unit = program.units[static_cast<std::size_t>(instruction.unit)];
      out << ' ' << model.layers[static_cast<std::size_t>(unit.layer)].name
          << (unit.fused_relu ? "+relu" : "");
    }
    if (instruction.bucket >= 0) out << " bucket " << instruction.bucket;
    if (instruction.reduction >= 0) {
      const auto& reduction = program.reductions[static_cast<std::size_t>(instruction.reduction)];
      out << " #" << instruction.reduction << ' ' << to_string(reduction.purpose) << " of " << reduction.count
          << " elements over " << to_string(reduction.axis);
    }
    out << '\n';
  }
  return out.str();
}

}  // namespace partita::step
