/// Where a rank stands in its program.
#pragma once

#include <optional>
#include <vector>

#include "flight.hpp"

namespace partita::sim {

struct Rank {
  int number = 0;  ///< in the grid
  const step::Program* program = nullptr;
  int step = 0;
  std::size_t instruction = 0;
  Picoseconds now = 0;
  std::optional<Picoseconds> left;  ///< of a kernel that has begun
  /// Goes through instructions; looks after transfers between two of them; waits for one; waits and has
  /// nothing to do.
  enum class Does { walks, looks, waits, rests } does = Does::walks;
  std::size_t looks_at = 0;      ///< among the active ones
  const Flight* come = nullptr;  ///< for which it gets a core
  std::vector<Flight*> active;   ///< that this core moves on, in the order of their starts
  base::IdVector<step::TransferId, Flight*> flights;  ///< of this step
};

}  // namespace partita::sim
