/// The grid of a run: named axes data × pipeline × tensor, and which rank sits where. Pure arithmetic.
///
/// Rank order: tensor fastest, then pipeline, then data, so that tensor groups sit inside a node.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace partita::topology {

/// An axis of the grid or a product of several: the bits say which. `world` is the product of all.
enum class Axis {
  none = 0,
  data = 1,
  pipeline = 2,
  data_pipeline = 3,
  tensor = 4,
  data_tensor = 5,
  pipeline_tensor = 6,
  world = 7
};
/// All axes and products of them on which ranks communicate.
inline constexpr std::array axes{Axis::data,        Axis::pipeline,        Axis::tensor, Axis::data_pipeline,
                                 Axis::data_tensor, Axis::pipeline_tensor, Axis::world};
constexpr Axis operator|(Axis a, Axis b) {
  return static_cast<Axis>(static_cast<int>(a) | static_cast<int>(b));
}
constexpr bool contains(Axis product, Axis axis) {
  return (static_cast<int>(product) & static_cast<int>(axis)) == static_cast<int>(axis);
}

/// "data", "data-tensor", "world".
std::string_view to_string(Axis);

/// How many ranks lie along each axis.
struct GridExtent {
  int data = 1, pipeline = 1, tensor = 1;
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(data) * pipeline * tensor; }
  /// Ranks along an axis or a product of axes.
  [[nodiscard]] int along(Axis) const;
  /// The product without those axes that have one rank only.
  [[nodiscard]] Axis occupied(Axis product) const;
  friend bool operator==(const GridExtent&, const GridExtent&) = default;
};

/// Where one rank sits.
struct Coordinate {
  int data = 0, pipeline = 0, tensor = 0;
  friend bool operator==(const Coordinate&, const Coordinate&) = default;
};

/// "data=2 pipeline=1 tensor=4".
std::string to_string(const GridExtent&);

int rank_of(const GridExtent&, const Coordinate&);
Coordinate coordinate_of(const GridExtent&, int rank);

/// Where a coordinate stands among the ranks that an axis (or product of axes) joins: the index of its rank
/// in `group_of`.
int place_along(const GridExtent&, const Coordinate&, Axis axis);

/// The ranks that share with `rank` every coordinate that is not on `axis` (or product of axes), ascending.
std::vector<int> group_of(const GridExtent&, int rank, Axis axis);

/// Whether some ranks that an axis (or product of axes) joins lie on several nodes; `node_of` by rank.
bool spans_nodes(const GridExtent&, Axis axis, std::span<const int> node_of);

/// Grids for `world` ranks that differ least from the wanted extents, best first (at most `count`).
/// Distance: number of changed axes, then the sum of |log| ratios.
std::vector<GridExtent> nearest_grids(const GridExtent& wanted, int world, std::size_t count = 3);

}  // namespace partita::topology
