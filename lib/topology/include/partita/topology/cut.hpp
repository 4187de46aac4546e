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

/// What [first, end) of `whole` is of n things: [⌊first·n/whole⌋, ⌊end·n/whole⌋). Neighbours join without
/// gap; with first = i and end = i + 1 it is share i.
constexpr Range part(std::int64_t first, std::int64_t end, std::int64_t whole, std::int64_t n) {
  __extension__ using Wide = __int128;
  const auto boundary = [&](std::int64_t i) {
    return static_cast<std::int64_t>(static_cast<Wide>(i) * n / whole);
  };
  return {boundary(first), boundary(end)};
}

}  // namespace partita::topology
