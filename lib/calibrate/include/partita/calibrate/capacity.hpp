/// How much of a cache its user has, by how fast memory is read.
#pragma once

#include <optional>
#include <span>

#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// What a byte took when so many were read again and again.
struct Reading {
  double bytes = 0, byte_seconds = 0;
};

/// Where readings, in order of their bytes, become slower: two levels, one up to there and one beyond,
/// explain the logarithms of their seconds best (least squares); the (geometric) middle of the sizes on both
/// sides. Nothing if what is beyond is not slower by a quarter, or if there are fewer than two readings of
/// each.
std::optional<double> find_capacity(std::span<const Reading>);

/// How much of a cache ranks had.
struct Capacities {
  std::optional<double> alone;    ///< one that read alone
  std::optional<double> at_once;  ///< each of those that read at once
  int readers = 1;                ///< at once, on a node
  int node_cores = 1;
};

/// A cache that the system names, as ranks have it: no more than is named, and as named where no end was
/// found. It is each core's own where more read at once than the node has such caches, and still each had
/// most of what one has alone.
machine::Cache as_read(machine::Cache named, const Capacities&);

}  // namespace partita::calibrate
