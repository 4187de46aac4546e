/// Over which axes of the grid a plan makes its programs communicate.
#include <algorithm>
#include <iterator>
#include <numeric>

#include "partita/step/plan.hpp"
#include "partita/topology/cut.hpp"

namespace partita::step {

using topology::Axis;

std::int64_t largest_share(const topology::GridExtent& grid, const Weights& weights, std::int64_t batch) {
  if (weights.empty()) return (batch + grid.data - 1) / grid.data;
  std::int64_t before = 0, largest = 0;
  const auto all = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
  for (const auto weight : weights) {
    largest = std::max(largest, topology::part(before, before + weight, all, batch).size());
    before += weight;
  }
  return largest;
}

topology::Axis metric_axes(const Plan& plan) {
  const Axis axes = Axis::data | Axis::pipeline;
  return plan.grid.occupied(plan.placement.loss.spread == Spread::batch ? axes | Axis::tensor : axes);
}

topology::Axis gradient_axes(const Plan& plan, int layer) {
  const bool partial = gradients_are_partial(plan.placement.layers[static_cast<std::size_t>(layer)].variant);
  return plan.grid.occupied(partial ? Axis::data | Axis::tensor : Axis::data);
}

topology::Axis without_data(const Plan& plan, topology::Axis axes) {
  auto rest = Axis::none;
  for (const auto axis : {Axis::pipeline, Axis::tensor})
    if (contains(axes, axis)) rest = rest | axis;
  return plan.grid.occupied(rest);
}

topology::Axis statistics_axes(const Plan& plan, int layer) {
  const auto variant = plan.placement.layers[static_cast<std::size_t>(layer)].variant;
  return plan.grid.occupied(cuts_of(variant).of_channel() ? Axis::data | Axis::tensor : Axis::data);
}

Norms norms_of(const kernels::OptimizerSpec& optimizer) {
  return {.of_gradient = optimizer.clip_norm.has_value(),
          .of_tensors = kernels::describe(optimizer.rule).takes_norms};
}

bool shares_updates(const Plan& plan) { return plan.split != Split::none || plan.cadence.servers.is_on(); }

bool takes_norm(const Plan& plan) {
  if (plan.cadence.servers.is_asynchronous && plan.cadence.servers.synchronous_steps == 0) return false;
  return plan.norms.of_gradient || shares_updates(plan) || plan.compression.codec == kernels::Codec::fp16 ||
         plan.compression.is_secure();
}

topology::Axis norm_axes(const Plan& plan) {
  if (!takes_norm(plan)) return Axis::none;
  return plan.grid.occupied(shares_updates(plan) ? Axis::world : Axis::pipeline | Axis::tensor);
}

std::vector<Axis> used_axes(const model::ModelSpec& model, const Plan& plan) {
  const auto uses = [&](Axis axis) {
    if ((axis == Axis::pipeline || axis == Axis::tensor) && plan.grid.along(axis) > 1) return true;
    const bool is_local = plan.cadence.local.is_on();
    if (axis == metric_axes(plan) || axis == norm_axes(plan)) return true;
    if (axis == Axis::data && plan.cadence.servers.is_on()) return true;
    if (is_local && (axis == Axis::data || axis == without_data(plan, metric_axes(plan))))
      return plan.grid.along(axis) > 1;
    for (int l = 0; l < static_cast<int>(model.layers.size()); ++l) {
      const auto& layer = model.layers[static_cast<std::size_t>(l)];
      if (layer.is_trained() && gradient_axes(plan, l) == axis) return true;
      if (is_local && layer.is_trained() && without_data(plan, gradient_axes(plan, l)) == axis &&
          axis != Axis::none)
        return true;
      if (layer.takes_statistics() && statistics_axes(plan, l) == axis) return true;
    }
    return false;
  };
  std::vector<Axis> used;
  std::ranges::copy_if(topology::axes, std::back_inserter(used), uses);
  return used;
}

}  // namespace partita::step
