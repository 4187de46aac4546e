/// The communicators of a run: one for every axis, or product of axes, on which its plan communicates.
#pragma once

#include <map>

#include "partita/comm/communicator.hpp"
#include "partita/step/build.hpp"

namespace partita::run {

class Axes {
 public:
  /// Collective over `world`, which outlives the axes.
  Axes(comm::Communicator& world, const model::ModelSpec&, const step::Plan&);

  /// The communicator of an axis; a broken contract where the plan has none.
  [[nodiscard]] comm::Communicator& along(topology::Axis);
  /// All there are, in the same order on every rank.
  [[nodiscard]] std::map<topology::Axis, comm::Communicator>& all() { return along_; }
  [[nodiscard]] comm::Communicator& world() { return world_; }
  [[nodiscard]] const topology::GridExtent& grid() const { return grid_; }
  [[nodiscard]] const topology::Coordinate& at() const { return at_; }

 private:
  comm::Communicator& world_;
  topology::GridExtent grid_;
  topology::Coordinate at_;
  std::map<topology::Axis, comm::Communicator> along_;
};

}  // namespace partita::run
