/// How long a machine takes for what is to be done.
///
/// Times are whole picoseconds, exact in a double up to two and a half hours: sums do not depend on their
/// order, and equal choices stay equal.
#pragma once

#include "partita/cost/work.hpp"
#include "partita/machine/machine.hpp"

namespace partita::cost {

/// The longest of computing and of moving bytes at each level, since they overlap (roofline: Williams,
/// Waterman, Patterson 2009, doi:10.1145/1498765.1498785); and what its calls take besides.
double picoseconds_of(const Work&, const machine::Machine&);

/// Of `bytes` that a rank sends and waits for, each round after the one before it.
double picoseconds_of_transfer(double bytes, const machine::Machine&, double rounds = 1);

}  // namespace partita::cost
