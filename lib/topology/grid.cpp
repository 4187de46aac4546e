/// Ranks and coordinates, the ranks of an axis, and the grids of a number of ranks that are nearest to the
/// one wanted: fewest axes changed, then the smallest ratio.
#include "partita/topology/grid.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace partita::topology {
std::string_view to_string(Axis axis) {
  switch (axis) {
    case Axis::none:
      return "none";
    case Axis::data:
      return "data";
    case Axis::pipeline:
      return "pipeline";
    case Axis::data_pipeline:
      return "data-pipeline";
    case Axis::tensor:
      return "tensor";
    case Axis::data_tensor:
      return "data-tensor";
    case Axis::pipeline_tensor:
      return "pipeline-tensor";
    case Axis::world:
      return "world";
  }
  return "unknown";
}

int GridExtent::along(Axis axis) const {
  return (contains(axis, Axis::data) ? data : 1) * (contains(axis, Axis::pipeline) ? pipeline : 1) *
         (contains(axis, Axis::tensor) ? tensor : 1);
}

Axis GridExtent::occupied(Axis product) const {
  Axis left = Axis::none;
  for (const Axis axis : {Axis::data, Axis::pipeline, Axis::tensor})
    if (contains(product, axis) && along(axis) > 1) left = left | axis;
  return left;
}

std::string to_string(const GridExtent& grid) {
  return "data=" + std::to_string(grid.data) + " pipeline=" + std::to_string(grid.pipeline) +
         " tensor=" + std::to_string(grid.tensor);
}

int rank_of(const GridExtent& grid, const Coordinate& at) {
  return (at.data * grid.pipeline + at.pipeline) * grid.tensor + at.tensor;
}

Coordinate coordinate_of(const GridExtent& grid, int rank) {
  return {.data = rank / (grid.tensor * grid.pipeline),
          .pipeline = rank / grid.tensor % grid.pipeline,
          .tensor = rank % grid.tensor};
}

int place_along(const GridExtent& grid, const Coordinate& at, Axis axis) {
  int place = 0;
  if (contains(axis, Axis::data)) place = at.data;
  if (contains(axis, Axis::pipeline)) place = place * grid.pipeline + at.pipeline;
  if (contains(axis, Axis::tensor)) place = place * grid.tensor + at.tensor;
  return place;
}

std::vector<int> group_of(const GridExtent& grid, int rank, Axis axis) {
  const Coordinate mine = coordinate_of(grid, rank);
  const auto range = [&](Axis one, int coordinate, int extent) {
    return contains(axis, one) ? std::pair(0, extent) : std::pair(coordinate, coordinate + 1);
  };
  const auto [first_data, end_data] = range(Axis::data, mine.data, grid.data);
  const auto [first_stage, end_stage] = range(Axis::pipeline, mine.pipeline, grid.pipeline);
  const auto [first_tensor, end_tensor] = range(Axis::tensor, mine.tensor, grid.tensor);
  std::vector<int> group;
  group.reserve(static_cast<std::size_t>(grid.along(axis)));
  for (int d = first_data; d < end_data; ++d)
    for (int p = first_stage; p < end_stage; ++p)
      for (int t = first_tensor; t < end_tensor; ++t)
        group.push_back(rank_of(grid, {.data = d, .pipeline = p, .tensor = t}));
  return group;
}

bool spans_nodes(const GridExtent& grid, Axis axis, std::span<const int> node_of) {
  for (int rank = 0; rank < static_cast<int>(grid.size()); ++rank)
    for (const int other : group_of(grid, rank, axis))
      if (node_of[static_cast<std::size_t>(other)] != node_of[static_cast<std::size_t>(rank)]) return true;
  return false;
}

std::vector<GridExtent> nearest_grids(const GridExtent& wanted, int world, std::size_t count) {
  const auto distance = [&](const GridExtent& grid) {
    int changed = 0;
    double ratio = 0;
    for (const Axis axis : {Axis::data, Axis::pipeline, Axis::tensor}) {
      changed += grid.along(axis) != wanted.along(axis);
      ratio += std::abs(std::log(static_cast<double>(grid.along(axis)) / std::max(1, wanted.along(axis))));
    }
    return std::tuple(changed, ratio);
  };
  std::vector<GridExtent> grids;
  for (int data = 1; data <= world; ++data) {
    if (world % data != 0) continue;
    for (int pipeline = 1; pipeline <= world / data; ++pipeline)
      if (world / data % pipeline == 0)
        grids.push_back({.data = data, .pipeline = pipeline, .tensor = world / data / pipeline});
  }
  std::stable_sort(grids.begin(), grids.end(),
                   [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  if (grids.size() > count) grids.resize(count);
  return grids;
}

}  // namespace partita::topology
