/// All that a batch size decides is decided here: addresses of slots, operators, planned transfers, blocks
/// that conversions copy. A step with this size then allocates nothing.
#include "bound.hpp"

#include <algorithm>

#include "partita/base/error.hpp"
#include "partita/step/check.hpp"

namespace partita::execute {

Executor::Bound::Bound(Executor& executor, std::int64_t batch_samples)
    : program(executor.program_),
      batch(batch_samples),
      data_rank(executor.axes_.at().data),
      lives(step::live_ranges(executor.program_)),
      mirrors(executor.device_, executor.links_) {
  const auto faults = step::faults_of(program, executor.model_, data_rank, batch);
  base::expect(faults.empty(), "a program can be executed", faults.empty() ? "" : faults.front());
  place_slots(executor);
  plan_operators(executor);
  plan_transfers(executor);
}

topology::Range Executor::Bound::samples(step::MicrobatchId microbatch, bool share) const {
  const auto whole = program.microbatch(microbatch, data_rank, batch);
  if (!share) return whole;
  const auto mine = topology::share(program.at.tensor, program.grid.tensor, whole.size());
  return {whole.begin + mine.begin, whole.begin + mine.end};
}

void Executor::Bound::place_slots(Executor& executor) {
  const auto plan = step::plan_memory(program, data_rank, batch, memory::alignment);
  // The largest batch has sized the arena; a smaller one may all the same need more, since cuts and first fit
  // are not monotonous.
  const bool fits = plan.total.value() <= static_cast<std::int64_t>(executor.activations_.bytes().size());
  if (!fits) {
    executor.more_activations_.push_back(memory::shareable(executor.device_, plan.total));
    executor.links_.share(executor.more_activations_.back().bytes());
    executor.activation_bytes_ += plan.total;
  }
  const auto storage = (fits ? executor.activations_ : executor.more_activations_.back()).bytes();
  for (const auto s : program.slots.ids()) {
    const auto& slot = program.slots[s];
    if (slot.lifetime == step::Lifetime::run) {
      slots.push_back(executor.memory_of(slot));
    } else if (!plan.offset_bytes[s]) {
      slots.push_back(View());
    } else {
      const auto n = slot.microbatch ? samples(*slot.microbatch, false).size() : 0;
      slots.push_back(View(storage.data() + *plan.offset_bytes[s], slot.type, program.elements(slot, n)));
    }
  }
}

void Executor::Bound::plan_operators(Executor& executor) {
  units.resize(program.units.size());
  for (const auto u : program.units.ids())
    for (const auto j : program.microbatch_ids())
      units[u].push_back({.layer = operator_of(executor, u, j), .tensors = tensors_of(executor, u, j)});
}

nn::Operator* Executor::Bound::operator_of(Executor& executor, step::UnitId u, step::MicrobatchId j) {
  const auto& unit = program.units[u];
  const auto& s = program.tensors[u][j];
  if (s.x == s.y) return nullptr;
  const auto n = unit.idle ? 0 : samples(j, step::cuts_of(unit.variant).samples).size();
  auto& planned = planned_[{u, n}];
  if (!planned)
    planned = nn::plan_operator(unit.local,
                                {.index = unit.layer,
                                 .fused_relu = unit.fused_relu,
                                 .first_channel = unit.first_channel,
                                 .first_row = unit.first_row,
                                 .whole = executor.model_.layers[static_cast<std::size_t>(unit.layer)].input},
                                n, executor.backend_);
  workspace = std::max(workspace, planned->workspace());
  return planned.get();
}

nn::Tensors Executor::Bound::tensors_of(Executor& executor, step::UnitId u, step::MicrobatchId j) const {
  const auto& s = program.tensors[u][j];
  const auto& range = program.parameters[u];
  nn::Tensors t{.x = slot(s.x),
                .y = slot(s.y),
                .dy = slot(s.dy),
                .dx = slot(s.dx),
                .statistics = slot(s.statistics),
                .gradient_sums = slot(s.gradient_sums)};
  for (std::size_t i = 0; i < s.saved.size(); ++i)
    t.saved[i] = slot(s.saved[i]);
  const auto& unit = program.units[u];
  const auto described = unit.local.parameters();
  for (std::size_t i = 0; i < range.tensors.size(); ++i) {
    const auto& tensor = range.tensors[i];
    if (!unit.adds_bias && !described[i].is_of_inputs)
      t.parameters[i] = executor.no_bias_.view(program.type, tensor.count);
    else if (!tensor.trained || !program.holds_share(program.buckets[*range.bucket]))
      t.parameters[i] = slot(tensor.slot).slice(tensor.offset, tensor.count);
  }
  return t;  // gradients of parameters, and gathered parameters, are named by the instructions
}

nn::Tensors Executor::Bound::tensors_of(const step::Instruction& instruction) const {
  auto t = unit_of(instruction).tensors;
  const auto& tensors = program.parameters[*instruction.unit].tensors;
  for (const auto s : instruction.reads)
    for (std::size_t i = 0; program.slots[s].gathered_from && i < tensors.size(); ++i)
      if (program.holds(s, tensors[i]) && t.parameters[i].empty())
        t.parameters[i] = slot(s).slice(tensors[i].offset, tensors[i].count);
  return t;
}

std::array<View, model::most_parameters> Executor::Bound::gradients_of(
    const step::Instruction& instruction) const {
  std::array<View, model::most_parameters> gradients;
  const auto& tensors_of_unit = program.parameters[*instruction.unit].tensors;
  const View all = slot(instruction.writes.front());
  for (std::size_t t = 0; t < tensors_of_unit.size(); ++t)
    if (const auto& tensor = tensors_of_unit[t]; tensor.trained)
      gradients[t] = all.slice(tensor.offset, tensor.count);
  return gradients;
}

void Executor::Bound::plan_transfers(Executor& executor) {
  const int rank = program.at.tensor, ranks = program.grid.tensor;
  base::IdVector<step::ConversionId, std::int64_t> samples_of(program.conversions.size());
  for (const auto& instruction : program.instructions)
    if (instruction.conversion)
      samples_of[*instruction.conversion] = samples(*instruction.microbatch, false).size();
  for (const auto c : program.conversions.ids())
    moves.push_back(
        {.pack = step::pack_moves(program.conversions[c], rank, ranks, samples_of[c], program.layout),
         .unpack = step::unpack_moves(program.conversions[c], rank, ranks, samples_of[c], program.layout)});
  for (const auto id : program.transfers.ids()) {
    const auto& t = program.transfers[id];
    transfers.push_back(executor.transfers_of_run_[id]
                            ? nullptr
                            : executor.plan(t, batch, mirrors, slot(t.slot), slot(t.target)));
  }
  executor.links_.connect();
}

}  // namespace partita::execute
