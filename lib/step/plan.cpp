/// What is decided once for all ranks: placement, partition, and the axes that they make programs use.
#include <algorithm>
#include <iterator>

#include "partita/step/build.hpp"

namespace partita::step {

using topology::Axis;

Plan plan(const model::ModelSpec& model, const PlanOptions& options,
          std::vector<base::Violation>& violations) {
  Plan plan{.grid = options.grid,
            .pipeline = options.pipeline,
            .placement = place(model, options.grid, options.batch, {}, options.outputs),
            .bucket_bytes = options.bucket_bytes,
            .grains = options.grains,
            .all_reduces = {.algorithm = options.algorithm, .nearest_first = options.grains > 0}};
  plan.partition =
      partition(model, plan.placement, options.grid.pipeline, options.pipeline.chunks, violations);
  return plan;
}

Plan plan(const model::ModelSpec& model, const PlanOptions& options) {
  std::vector<base::Violation> violations;
  auto planned = plan(model, options, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return planned;
}

topology::Axis metric_axes(const Plan& plan) {
  const Axis axes = Axis::data | Axis::pipeline;
  return plan.grid.occupied(plan.placement.loss.spread == Spread::batch ? axes | Axis::tensor : axes);
}

topology::Axis gradient_axes(const Plan& plan, int layer) {
  const bool partial = gradients_are_partial(plan.placement.layers[static_cast<std::size_t>(layer)].variant);
  return plan.grid.occupied(partial ? Axis::data | Axis::tensor : Axis::data);
}

std::vector<Axis> used_axes(const model::ModelSpec& model, const Plan& plan) {
  const auto uses = [&](Axis axis) {
    if ((axis == Axis::pipeline || axis == Axis::tensor) && plan.grid.along(axis) > 1) return true;
    if (axis == metric_axes(plan)) return true;
    for (std::size_t l = 0; l < model.layers.size(); ++l)
      if (model.layers[l].is_trained() && gradient_axes(plan, static_cast<int>(l)) == axis) return true;
    return false;
  };
  std::vector<Axis> used;
  std::ranges::copy_if(topology::axes, std::back_inserter(used), uses);
  return used;
}

}  // namespace partita::step
