/// How fast a core reaches its main memory and its caches, and how fast it can compute at all.
#pragma once

#include "group.hpp"

namespace partita::calibrate {

/// Bytes a second of one rank, by the triad a = b + s·c (McCalpin 1995), on three vectors of `bytes`
/// together: the median over repetitions of the slowest rank. Collective over the group, whose ranks all do
/// the same.
double triad_bytes_per_second(comm::Communicator& group, std::int64_t bytes);

}  // namespace partita::calibrate
