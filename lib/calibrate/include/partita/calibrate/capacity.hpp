/// How much of a cache its user has, by how fast memory is read.
#pragma once

#include <optional>
#include <span>

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

}  // namespace partita::calibrate
