/// Where each parameter lies in a role's flat vectors: trained ones first, in the order in which the backward
/// passes complete their gradients, so that a bucket is a slice; untrained ones behind them.
#include <algorithm>
#include <iterator>

#include "assembly.hpp"

namespace partita::step {
namespace {

/// Those tensors of a unit that are trained, or the others.
void place_parameters(Assembly& a, UnitId u, bool trained) {
  const auto& local = a.unit(u).local;
  const auto& placed = a.plan.placement.layers[static_cast<std::size_t>(a.unit(u).layer)];
  auto& range = a.program.parameters[u];
  const Cuts cuts = cuts_of(placed.variant);
  range.replicated = !cuts.of_parameters();
  const auto rank = static_cast<std::size_t>(a.program.at.tensor);
  const auto parts = local.parameters(), wholes = a.whole(u).parameters();
  range.tensors.resize(parts.size());
  for (std::size_t t = 0; t < parts.size(); ++t) {
    if (local.trains(parts[t]) != trained) continue;
    auto& tensor = range.tensors[t];
    tensor = {.first = a.program.parameter_count,
              .count = parts[t].shape.elements(),
              .trained = trained,
              .columns = parts[t].columns()};
    const std::int64_t columns_of_input = wholes[t].columns() / a.whole(u).input[0];
    if (cuts.outputs) tensor.first_row = placed.out.value.offsets[rank];
    if (cuts.inputs && parts[t].is_of_inputs)
      tensor.first_column = placed.in.value.offsets[rank] * columns_of_input;
    a.program.parameter_count = tensor.end();
  }
}

/// Units with parameters: those whose gradients a training step completes first come first.
std::vector<UnitId> units_by_completion(const Assembly& a) {
  const auto order = order_of(a.plan.pipeline, a.stages(), a.program.at.pipeline);
  std::vector<UnitId> units;
  for (auto action = order.rbegin(); action != order.rend(); ++action) {
    if (action->pass != Pass::backward && action->pass != Pass::backward_weight) continue;
    if (std::any_of(units.begin(), units.end(), [&](UnitId u) { return a.unit(u).chunk == action->chunk; }))
      continue;
    std::ranges::copy(a.units(action->chunk), std::back_inserter(units));
  }
  std::reverse(units.begin(), units.end());
  for (const auto u : a.program.units.ids())
    if (std::find(units.begin(), units.end(), u) == units.end()) units.push_back(u);
  std::erase_if(units, [&](UnitId u) { return !a.whole(u).has_parameters(); });
  return units;
}

}  // namespace

void lay_out_parameters(Assembly& a) {
  a.program.parameters.resize(a.program.units.size());
  const auto units = units_by_completion(a);
  for (const auto u : units)
    place_parameters(a, u, true);
  const Elements trained = a.program.trained_count = a.program.parameter_count;
  for (const auto u : units)
    place_parameters(a, u, false);
  std::vector<UnitId> trained_units;
  std::copy_if(units.begin(), units.end(), std::back_inserter(trained_units),
               [&](UnitId u) { return a.whole(u).is_trained(); });
  make_buckets(a, trained_units);
  a.program.untrained_slot = a.add_slot({.role = SlotRole::parameters,
                                         .type = a.program.type,
                                         .fixed = a.program.parameter_count - trained,
                                         .lifetime = Lifetime::run,
                                         .first = a.program.held_count});
  a.program.held_count += a.program.parameter_count - trained;
  for (auto& range : a.program.parameters)
    for (auto& tensor : range.tensors)
      if (!tensor.trained) tensor.slot = a.program.untrained_slot, tensor.offset = tensor.first - trained;
}

}  // namespace partita::step
