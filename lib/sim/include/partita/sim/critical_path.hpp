/// What the time of a step hangs on: one chain of causes from the end of its last instruction back to the end
/// of the step before. Every instant belongs to one of its pieces, so that these add up to the step.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "partita/machine/network.hpp"

namespace partita::sim {

/// What an instant passed with.
enum class Cause {
  kernel,  ///< a compute or copy instruction
  start,   ///< of a transfer
  wait,    ///< for one, beyond its end
  poll,    ///< to look after transfers under way
  between_steps,
  send,     ///< of the sender's core, until a message is on its way
  latency,  ///< of a message, or of the receiver's word that it may come
  bytes,    ///< of a message, as fast as it is alone
  sharing,  ///< what links that are slower or shared, and gaps, add to that
  receive,  ///< of the receiver's core, to take a message
  combine,  ///< and to add it to its own
  stage,    ///< a copy into the own segment of a window
  flag,     ///< until another rank sees it there
  access,   ///< loads and stores in a window
  whole     ///< an all-reduce of the MPI library, from its last start on
};

/// Pieces follow each other in time without a gap.
struct PathPiece {
  machine::Picoseconds begin = 0, end = 0;
  Cause cause = Cause::kernel;
  int rank = 0;                            ///< whose core or transfer; of what is on its way its source
  std::optional<int> peer;                 ///< of a message or flag: the other end
  std::optional<std::size_t> instruction;  ///< of the rank's program; of a transfer the one that starts it
  [[nodiscard]] machine::Picoseconds duration() const { return end - begin; }
  friend bool operator==(const PathPiece&, const PathPiece&) = default;
};

using CriticalPath = std::vector<PathPiece>;

}  // namespace partita::sim
