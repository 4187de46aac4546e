/// Makes the communicators. The data axis has one even where it is a single rank: gradients lie in memory
/// that its ranks share.
#include "partita/comm/axes.hpp"

#include <algorithm>

namespace partita::comm {

using topology::Axis;

Axes::Axes(Communicator& world, const topology::GridExtent& grid, std::span<const Axis> used)
    : world_(world), grid_(grid), at_(topology::coordinate_of(grid, world.rank())) {
  for (const Axis axis : topology::axes)  // in one order on every rank
    if (axis == Axis::data || std::ranges::find(used, axis) != used.end())
      along_.emplace(axis, world.along(axis, grid));
}

Communicator& Axes::along(Axis axis) {
  const auto found = along_.find(axis);
  base::expect(found != along_.end(), "a program communicates on the axes of its plan;", to_string(axis));
  return found->second;
}

}  // namespace partita::comm
