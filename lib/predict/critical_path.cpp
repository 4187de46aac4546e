/// Names every piece of the path, and adds up those of one name.
#include "partita/predict/critical_path.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "partita/step/program.hpp"

namespace partita::predict {
namespace {

using machine::Picoseconds;
using sim::Cause;
using step::Kind;

std::string name_of_kernel(const step::Program& program, const step::Instruction& instruction) {
  if (instruction.kind == Kind::forward || instruction.kind == Kind::backward)
    return "kernels " + std::string(to_string(program.units[*instruction.unit].local.kind));
  return "kernels " + std::string(to_string(instruction.kind));
}

std::string resource_of(const sim::PathPiece& piece, const step::Program& program,
                        const machine::Machine& machine) {
  const auto network = [&](const char* figure) {
    const auto level = piece.peer && !machine.levels.empty()
                           ? '.' + machine.levels[machine.level_between(piece.rank, *piece.peer)].name
                           : std::string();
    return "network" + level + '.' + figure;
  };
  switch (piece.cause) {
    case Cause::kernel:
      return name_of_kernel(program, program.instructions[*piece.instruction]);
    case Cause::start:
    case Cause::wait:
    case Cause::poll:
    case Cause::between_steps:
      return "core";
    case Cause::send:
    case Cause::receive:
      return network("overhead");
    case Cause::latency:
      return network("latency");
    case Cause::bytes:
      return network("bandwidth");
    case Cause::sharing:
      return network("sharing");
    case Cause::combine:
      return "memory.bandwidth";
    case Cause::stage:
    case Cause::access:
      return "window.bandwidth";
    case Cause::flag:
      return "window.latency";
    case Cause::whole:
      return "library";
  }
  return "";
}

/// "gradients of fc2", "update of fc2 to conv1": of the layers of a bucket.
std::string name_of(const step::Bucket& bucket, const step::Program& program, const std::string& what,
                    const model::ModelSpec& model) {
  const auto layer = [&](step::UnitId unit) {
    return model.layers[static_cast<std::size_t>(program.units[unit].layer)].name;
  };
  const auto first = bucket.units.front(), last = bucket.units.back();
  return what + " of " + layer(first) + (last == first ? "" : " to " + layer(last));
}

/// Whose output, input or gradient of either a slot holds.
std::optional<step::UnitId> unit_of(step::SlotId slot, const step::Program& program) {
  if (const auto unit = program.slots[slot].unit) return unit;
  for (const auto unit : program.tensors.ids())
    for (const auto& tensors : program.tensors[unit])
      if (slot == tensors.x || slot == tensors.y || slot == tensors.dx || slot == tensors.dy) return unit;
  return {};
}

std::string name_of(const step::Transfer& transfer, const step::Program& program,
                    const model::ModelSpec& model) {
  for (const auto& bucket : program.buckets)
    if (std::ranges::find(bucket.gradients, transfer.slot) != bucket.gradients.end())
      return name_of(bucket, program, "gradients", model);
  if (const auto unit = unit_of(transfer.slot, program)) return step::name_of(program.units[*unit], model);
  return std::string(to_string(transfer.purpose));
}

std::string layer_of(const sim::PathPiece& piece, const step::Program& program,
                     const model::ModelSpec& model) {
  if (!piece.instruction) return "between steps";
  const auto& instruction = program.instructions[*piece.instruction];
  if (instruction.transfer) return name_of(program.transfers[*instruction.transfer], program, model);
  if (instruction.unit) return step::name_of(program.units[*instruction.unit], model);
  if (instruction.bucket)
    return name_of(program.buckets[*instruction.bucket], program, std::string(to_string(instruction.kind)),
                   model);
  return std::string(to_string(instruction.kind));
}

}  // namespace

std::vector<PathShare> critical_path_of(const Subject& subject, const machine::Machine& machine,
                                        const Prediction& prediction) {
  std::map<std::pair<std::string, std::string>, Picoseconds> times;
  for (const auto& piece : prediction.simulation.critical_path) {
    const auto& program = *prediction.roles.by_rank[static_cast<std::size_t>(piece.rank)];
    times[{resource_of(piece, program, machine), layer_of(piece, program, subject.split.model)}] +=
        piece.duration();
  }
  std::vector<PathShare> shares;
  for (const auto& [names, time] : times)
    shares.push_back({names.first, names.second, time});
  std::ranges::stable_sort(shares, std::greater<>(), &PathShare::time);
  return shares;
}

std::vector<std::pair<std::string, Picoseconds>> added_up(const std::vector<PathShare>& shares,
                                                          std::string PathShare::*name) {
  std::map<std::string, Picoseconds> times;
  for (const auto& share : shares)
    times[share.*name] += share.time;
  std::vector<std::pair<std::string, Picoseconds>> all(times.begin(), times.end());
  std::ranges::stable_sort(all, std::greater<>(), &std::pair<std::string, Picoseconds>::second);
  return all;
}

}  // namespace partita::predict
