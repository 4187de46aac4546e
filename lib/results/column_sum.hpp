/// A checksum of a column's values, kept beside them.
///
/// Fletcher-32, which HDF5 keeps with each chunk, is 0 for zeros: a chunk that never reached the disk (a hole
/// after a crash) passes, and so does a whole chunk in another's place. This one stands in the dataset's
/// header, which has a checksum of its own. It finds accidents, not intent.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace partita::results {

static_assert(std::endian::native == std::endian::little, "sums are of values as a file holds them");

/// Each word changes the state by a bijection, so that no change within a single word goes unnoticed, and
/// other changes do with a chance of 2^-64.
inline std::uint64_t sum_of(std::span<const std::byte> values) {
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15;  // 2^64 divided by the golden ratio
  std::uint64_t sum = odd ^ values.size();
  while (!values.empty()) {
    std::uint64_t word = 0;
    const auto bytes = std::min(values.size(), sizeof word);
    std::memcpy(&word, values.data(), bytes);
    sum = std::rotl(sum ^ word, 29) * odd;
    values = values.subspan(bytes);
  }
  return sum ^ (sum >> 32);
}

}  // namespace partita::results
