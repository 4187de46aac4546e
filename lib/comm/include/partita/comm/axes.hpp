/// The communicators of a run: one for every axis, or product of axes, on which it communicates.
#pragma once

#include <map>
#include <span>

#include "partita/comm/communicator.hpp"

namespace partita::comm {

class Axes {
 public:
  /// Of the axes in `used` and of the data axis, which always exists: gradients lie in the window of its
  /// ranks. The same on every rank. Collective over `world`, which outlives the axes.
  Axes(Communicator& world, const topology::GridExtent&, std::span<const topology::Axis> used);

  /// The communicator of an axis; a broken contract where it is not used.
  [[nodiscard]] Communicator& along(topology::Axis);
  /// All there are, in the same order on every rank.
  [[nodiscard]] std::map<topology::Axis, Communicator>& all() { return along_; }
  [[nodiscard]] Communicator& world() { return world_; }
  [[nodiscard]] const topology::GridExtent& grid() const { return grid_; }
  [[nodiscard]] const topology::Coordinate& at() const { return at_; }

 private:
  Communicator& world_;
  topology::GridExtent grid_;
  topology::Coordinate at_;
  std::map<topology::Axis, Communicator> along_;
};

}  // namespace partita::comm
