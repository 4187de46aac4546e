/// The programs of a whole grid: one a role (stage and tensor coordinate), which all data ranks share, but
/// that every parameter server has its own.
#pragma once

#include <functional>
#include <vector>

#include "partita/step/program.hpp"

namespace partita::step {

/// Programs of all ranks of a grid, by rank; ranks of one role may share theirs.
using ProgramsByRank = std::vector<const Program*>;

struct Roles {
  using Build = std::function<Program(const topology::Coordinate& role)>;
  /// Builds each program once.
  Roles(const topology::GridExtent&, const Build&);
  /// Of programs in order of stages, then of tensor coordinates; those of servers follow.
  Roles(const topology::GridExtent&, std::vector<Program>);

  Roles(Roles&&) = default;  // a copy's ranks would have the programs of the original
  Roles& operator=(Roles&&) = default;

  std::vector<Program> programs;
  ProgramsByRank by_rank;
};

}  // namespace partita::step
