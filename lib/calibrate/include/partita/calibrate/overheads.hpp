/// What a core does besides kernels and messages.
#pragma once

#include "partita/calibrate/group.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// To start a transfer, to wait for one that is over, to look after one under way: medians on a single rank.
/// That of a step is known only to those who run steps.
machine::Overheads measure_overheads(comm::Communicator& self);

}  // namespace partita::calibrate
