/// Which program is whose.
#include "partita/step/roles.hpp"

#include <utility>

namespace partita::step {
namespace {

std::vector<Program> built(const topology::GridExtent& grid, const Roles::Build& build) {
  std::vector<Program> programs;
  for (int stage = 0; stage < grid.pipeline; ++stage)
    for (int tensor = 0; tensor < grid.tensor; ++tensor)
      programs.push_back(build({.pipeline = stage, .tensor = tensor}));
  for (int server = programs.front().workers(); server < grid.data; ++server)
    programs.push_back(build({.data = server}));
  return programs;
}

}  // namespace

Roles::Roles(const topology::GridExtent& grid, const Build& build) : Roles(grid, built(grid, build)) {}

Roles::Roles(const topology::GridExtent& grid, std::vector<Program> given) : programs(std::move(given)) {
  for (int r = 0; r < static_cast<int>(grid.size()); ++r) {
    const auto at = topology::coordinate_of(grid, r);
    const int server = at.data - programs.front().workers();
    const int role =
        server < 0 ? at.pipeline * grid.tensor + at.tensor : grid.pipeline * grid.tensor + server;
    by_rank.push_back(&programs[static_cast<std::size_t>(role)]);
  }
}

}  // namespace partita::step
