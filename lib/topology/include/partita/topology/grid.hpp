/// The grid of a run: named axes data × pipeline × tensor, and which rank sits where. Pure arithmetic.
///
/// Rank order: tensor fastest, then pipeline, then data, so that tensor groups sit inside a node.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace partita::topology {

/// An axis of the grid; `world` stands for all axes together.
enum class Axis { data, pipeline, tensor, world };

std::string_view to_string(Axis);

/// How many ranks lie along each axis.
struct GridExtent {
  int data = 1, pipeline = 1, tensor = 1;
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(data) * pipeline * tensor; }
  [[nodiscard]] int along(Axis) const;
  friend bool operator==(const GridExtent&, const GridExtent&) = default;
};

/// Where one rank sits.
struct Coordinate {
  int data = 0, pipeline = 0, tensor = 0;
  [[nodiscard]] int along(Axis) const;
  friend bool operator==(const Coordinate&, const Coordinate&) = default;
};

/// "data=2 pipeline=1 tensor=4".
std::string to_string(const GridExtent&);

int rank_of(const GridExtent&, const Coordinate&);
Coordinate coordinate_of(const GridExtent&, int rank);

/// The ranks that share every coordinate with `rank` but the one on `axis`, in order of that coordinate.
std::vector<int> group_of(const GridExtent&, int rank, Axis axis);

/// Grids for `world` ranks that differ least from the wanted extents, best first (at most `count`).
/// Distance: number of changed axes, then the sum of |log| ratios.
std::vector<GridExtent> nearest_grids(const GridExtent& wanted, int world, std::size_t count = 3);

}  // namespace partita::topology
