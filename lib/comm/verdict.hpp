/// Why ranks wait for ever, from what every rank shows of itself. Pure: no MPI.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "board.hpp"

namespace partita::comm {

/// One rank as its block was read; `answers` is false where nothing could be read.
struct Seen {
  int rank = 0;
  bool answers = false;
  char process_state = 0;  ///< as /proc tells it; 'T' stopped, 0 not known, '-' gone
  Block block;
};

/// Names the word of a `Position`.
using NameInstruction = std::function<std::string(std::uint64_t)>;

/// What one rank does: its instruction, its operation with number, axis and peer.
std::string describe(const Seen&, const NameInstruction&);

/// One line for each cause: ranks that disagree, counts that differ, ranks that have not come, ranks that
/// wait for each other. By rank of the world.
std::vector<std::string> verdicts(const std::vector<Seen>& by_rank, const NameInstruction&);

}  // namespace partita::comm
