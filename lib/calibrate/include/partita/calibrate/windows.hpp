/// What an all-reduce in a window that ranks share takes: until a flag is seen, and for each byte that is
/// staged, loaded or stored, by how many there are in a round.
#pragma once

#include <vector>

#include "partita/calibrate/group.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

struct WindowOptions {
  std::uint64_t seed = 1;
  int sizes = 24;
  std::int64_t most_bytes = 32 << 20;
  double seconds = 10;  ///< after which no other size is begun
  machine::Overheads overheads;
};

/// What was done in a number of rounds, and what it took on the slowest rank.
struct WindowSample {
  double rounds = 0;
  double staged = 0, loaded = 0, stored = 0;  ///< bytes, in all rounds
  double round_bytes = 0;                     ///< of the largest round
  double seconds = 0;                         ///< beyond what starting and waiting take
};

struct WindowTimes {
  double flag_seconds = 0;
  std::vector<machine::WindowAccess> rows;
};

/// All-reduces of private buffers, which go through staging slots, of buffers in the window, and copies into
/// it. The same on all ranks. Collective over ranks of one node.
std::vector<WindowSample> measure_windows(comm::Communicator&, const WindowOptions&);

/// The times that explain the samples, with the least sum of squared relative errors between bends of the
/// time over the bytes of a round.
WindowTimes window_times(std::vector<WindowSample>);

}  // namespace partita::calibrate
