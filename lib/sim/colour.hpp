/// Colours by which refinement tells apart what it has not found to be alike: hashes of 64 bits.
#pragma once

#include <cstdint>
#include <vector>

namespace partita::sim {

using Colour = std::uint64_t;
using Colours = std::vector<Colour>;

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
constexpr Colour scramble(Colour x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Depends on the order of the values.
template <class... Values>
constexpr Colour mixed(Colour colour, Values... values) {
  ((colour = scramble(colour ^ scramble(static_cast<Colour>(values)))), ...);
  return colour;
}

}  // namespace partita::sim
