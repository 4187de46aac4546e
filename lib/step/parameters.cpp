/// Where each parameter lies in a role's flat vectors: trained ones first, in the order in which the backward
/// passes complete their gradients, so that a bucket is a slice; frozen ones behind them.
#include <algorithm>

#include "assembly.hpp"

namespace partita::step {
namespace {

void place_parameters(Assembly& a, int u, bool trained) {
  const auto& local = a.unit(u).local;
  const auto& placed = a.plan.placement.layers[static_cast<std::size_t>(a.unit(u).layer)];
  auto& range = a.program.parameters[static_cast<std::size_t>(u)];
  range.trained = trained;
  range.weight_first = a.program.parameter_count;
  range.weight_count = local.weight_elements();
  range.bias_first = range.weight_first + range.weight_count;
  range.bias_count = local.bias_elements();
  a.program.parameter_count = range.bias_first + range.bias_count;
  const std::int64_t window = local.kernel * local.kernel;
  range.logical_columns = a.whole(u).fan_in();
  range.columns = local.fan_in();
  range.replicated = placed.variant != Variant::column && placed.variant != Variant::row;
  const auto rank = static_cast<std::size_t>(a.program.at.tensor);
  if (placed.variant == Variant::column) range.first_row = placed.out.value.offsets[rank];
  if (placed.variant == Variant::row) range.first_column = placed.in.value.offsets[rank] * window;
}

}  // namespace

void lay_out_parameters(Assembly& a) {
  const auto order = order_of(a.plan.pipeline, a.stages(), a.program.at.pipeline);
  std::vector<int> units;
  for (auto action = order.rbegin(); action != order.rend(); ++action) {
    if (action->pass != Pass::backward && action->pass != Pass::backward_weight) continue;
    if (std::any_of(units.begin(), units.end(), [&](int u) { return a.unit(u).chunk == action->chunk; }))
      continue;
    for (int u = a.first_unit(action->chunk); u < a.end_unit(action->chunk); ++u)
      units.push_back(u);
  }
  std::reverse(units.begin(), units.end());
  for (int u = 0; u < static_cast<int>(a.program.units.size()); ++u)
    if (std::find(units.begin(), units.end(), u) == units.end()) units.push_back(u);
  a.program.parameters.resize(a.program.units.size());
  std::erase_if(units, [&](int u) { return !a.whole(u).has_parameters(); });
  for (const bool trained : {true, false}) {
    for (const int u : units)
      if (a.whole(u).is_trained() == trained) place_parameters(a, u, trained);
    if (trained) a.program.trained_count = a.program.parameter_count;
  }
  a.program.chunk_gradients.resize(static_cast<std::size_t>(a.program.chunks));
  for (const int u : units) {
    const auto& range = a.program.parameters[static_cast<std::size_t>(u)];
    auto& gradients = a.program.chunk_gradients[static_cast<std::size_t>(a.unit(u).chunk)];
    if (!range.trained) continue;
    if (gradients.count.value() == 0) gradients.first = range.weight_first;
    gradients.count += range.weight_count + range.bias_count;
  }
}

}  // namespace partita::step
