/// The beginning of every program: what the plan fixes for it and the units of the role's chunks; and the one
/// place that says which slots a transfer's `start` and `wait` read and write.
#include "assembly.hpp"

#include <algorithm>
#include <bit>

#include "partita/model/passes.hpp"

namespace partita::step {

using collective::Operation;

Assembly::Assembly(const model::ModelSpec& the_model, const Plan& the_plan, const topology::Coordinate& at,
                   const TensorFormat& format, bool training)
    : model(the_model), plan(the_plan), lowest(model::lowest_trained_layer(the_model)) {
  program.type = format.type;
  program.layout = format.layout;
  program.training = training;
  program.grid = plan.grid;
  program.at = at;
  program.microbatches = plan.pipeline.microbatches;
  if (!plan.weights.empty()) program.weights_before.push_back(0);
  for (const auto weight : plan.weights)
    program.weights_before.push_back(program.weights_before.back() + weight);
  program.chunks = plan.pipeline.chunks;
  program.loss_placement = plan.placement.loss;
  program.all_reduces = plan.all_reduces;
  program.servers = plan.cadence.servers.count;
  program.split = program.servers == 0 ? plan.split : program.serves() ? Split::parameter : Split::state;
  program.compression = plan.compression;
  if (training) program.cadence = plan.cadence;
  program.microbatches_first = training && model.takes_statistics();
  if (plan.grains > 0) program.gradient_levels = std::bit_width(static_cast<unsigned>(program.microbatches));
  if (program.cadence.is_delayed) program.gradient_levels = 2;
  for (const auto c : program.chunk_ids()) {
    for (auto& lowered : lower_chunk(model, plan, at.tensor, global_chunk(c), c))
      program.units.push_back(std::move(lowered));
    last_unit_.push_back(program.units.end_id() - 1);
  }
}

Pair Assembly::delivered(ChunkId chunk) const {
  const auto first = static_cast<std::size_t>(first_layer(chunk));
  if (!is_first(chunk)) return plan.placement.layers[first - 1].out;
  const bool by_samples = plan.placement.layers[first].in.value.spread == Spread::batch;
  const Placement loaded{.spread = by_samples ? Spread::batch : Spread::replicated};
  return {loaded, loaded};
}

std::vector<SlotId> Assembly::parameter_slots(UnitId u) const {
  std::vector<SlotId> slots;
  for (const auto& tensor : program.parameters[u].tensors)
    if (std::find(slots.begin(), slots.end(), tensor.slot) == slots.end()) slots.push_back(tensor.slot);
  return slots;
}

namespace {

std::vector<SlotId> touched(const Transfer& t) {
  return t.target ? std::vector{t.slot, *t.target} : std::vector{t.slot};
}

}  // namespace

void Assembly::add_parts(const Instruction& common, std::vector<Part> parts) {
  for (auto& part : parts) {
    Instruction instruction = common;
    instruction.phase = part.phase;
    instruction.reads = std::move(part.reads);
    instruction.writes = std::move(part.writes);
    add(std::move(instruction));
    if (!part.exchange) continue;
    const auto exchange = add_transfer(*part.exchange);
    start(exchange);
    wait(exchange);
  }
}

void Assembly::start(TransferId transfer) {
  const auto& t = program.transfers[transfer];
  add({.kind = Kind::start,
       .queue = Queue::communication,
       .microbatch = t.microbatch,
       .transfer = transfer,
       .reads = t.operation == Operation::receive ? std::vector<SlotId>{} : std::vector{t.slot},
       .writes = t.operation == Operation::send ? std::vector<SlotId>{} : touched(t)});
}

void Assembly::wait(TransferId transfer) {
  const auto& t = program.transfers[transfer];
  add({.kind = Kind::wait,
       .queue = Queue::communication,
       .microbatch = t.microbatch,
       .transfer = transfer,
       .reads = touched(t),
       .writes = t.operation == Operation::send ? std::vector<SlotId>{} : touched(t)});
}

}  // namespace partita::step
