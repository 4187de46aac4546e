/// Makes the communicators. The data axis has one even where it is a single rank: gradients lie in memory
/// that its ranks share.
#include "partita/run/axes.hpp"

namespace partita::run {

using topology::Axis;

Axes::Axes(comm::Communicator& world, const model::ModelSpec& model, const step::Plan& plan)
    : world_(world), grid_(plan.grid), at_(topology::coordinate_of(plan.grid, world.rank())) {
  // In one order on every rank. The data axis always exists: gradients lie in its shared window.
  for (const Axis axis : {Axis::data, Axis::pipeline, Axis::tensor, Axis::data_pipeline, Axis::data_tensor,
                          Axis::pipeline_tensor, Axis::world})
    if (axis == Axis::data || step::uses_axis(model, plan, axis))
      along_.emplace(axis, world.along(axis, plan.grid));
}

comm::Communicator& Axes::along(Axis axis) {
  const auto found = along_.find(axis);
  base::expect(found != along_.end(), "a program communicates on the axes of its plan;", to_string(axis));
  return found->second;
}

}  // namespace partita::run
