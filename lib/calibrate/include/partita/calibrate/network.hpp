/// What lies between ranks: levels with their messages, and windows that ranks of a node share.
#pragma once

#include <iosfwd>

#include "partita/calibrate/messages.hpp"
#include "partita/calibrate/windows.hpp"

namespace partita::calibrate {

/// Levels of the network, "node" and "cluster" as far as the ranks reach, with the protocols of messages
/// between two ranks that only this level joins; on rank 0. None where there is one rank. Collective.
std::vector<machine::Level> measure_levels(comm::Communicator& world, const machine::Overheads&,
                                           const MessageOptions&);
void print(std::ostream&, const std::vector<machine::Level>&);

/// Of all nodes at once, each for itself, where nodes are blocks of equally many ranks and have several; else
/// without rows. The same on all ranks. Collective.
WindowTimes measure_window_times(comm::Communicator& world, const WindowOptions&);
void print(std::ostream&, const WindowTimes&);

}  // namespace partita::calibrate
