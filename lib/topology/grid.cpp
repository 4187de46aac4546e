#include "partita/topology/grid.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace partita::topology {
namespace {

template <class Triple>
int pick(const Triple& triple, Axis axis, int of_world) {
  switch (axis) {
    case Axis::data:
      return triple.data;
    case Axis::pipeline:
      return triple.pipeline;
    case Axis::tensor:
      return triple.tensor;
    case Axis::world:
      break;
  }
  return of_world;
}

}  // namespace

std::string_view to_string(Axis axis) {
  switch (axis) {
    case Axis::data:
      return "data";
    case Axis::pipeline:
      return "pipeline";
    case Axis::tensor:
      return "tensor";
    case Axis::world:
      return "world";
  }
  return "unknown";
}

int GridExtent::along(Axis axis) const { return pick(*this, axis, static_cast<int>(size())); }
int Coordinate::along(Axis axis) const { return pick(*this, axis, -1); }

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

std::vector<int> group_of(const GridExtent& grid, int rank, Axis axis) {
  std::vector<int> group;
  if (axis == Axis::world) {
    for (int r = 0; r < static_cast<int>(grid.size()); ++r)
      group.push_back(r);
    return group;
  }
  Coordinate at = coordinate_of(grid, rank);
  int& moving = axis == Axis::data ? at.data : axis == Axis::pipeline ? at.pipeline : at.tensor;
  for (moving = 0; moving < grid.along(axis); ++moving)
    group.push_back(rank_of(grid, at));
  return group;
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
