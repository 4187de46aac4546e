/// The one way in which Partita cuts n things into p shares: share i is [⌊i·n/p⌋, ⌊(i+1)·n/p⌋).
///
/// Shares differ by at most one, may be empty, and nest: cutting into p·m shares and joining m neighbours
/// gives the cut into p.
#pragma once

#include <cstdint>

namespace partita::topology {

/// A half-open range of indices.
struct Range {
  std::int64_t begin = 0, end = 0;
  [[nodiscard]] constexpr std::int64_t size() const { return end - begin; }
  [[nodiscard]] constexpr bool empty() const { return begin == end; }
  friend constexpr bool operator==(Range, Range) = default;
};

/// Boundary i of `shares` shares of `n`: ⌊i·n/shares⌋, computed without overflow for n up to 2⁶³ − 1.
constexpr std::int64_t cut(std::int64_t i, std::int64_t shares, std::int64_t n) {
  return i * (n / shares) + i * (n % shares) / shares;
}

/// Share `i` of `shares` of n things.
constexpr Range share(std::int64_t i, std::int64_t shares, std::int64_t n) {
  return {cut(i, shares, n), cut(i + 1, shares, n)};
}

}  // namespace partita::topology
