/// The IDX format of MNIST (LeCun), plain or gzip: bytes 0 0 type dimensions, then each extent as a
/// big-endian 32-bit number, then the elements. Only unsigned bytes (type 0x08) are read, as in every
/// published set.
///
/// Files are untrusted: memory grows with what a file really holds, never by what its header claims.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::data {

struct IdxArray {
  std::vector<std::int64_t> extents;  ///< outermost first
  std::vector<std::uint8_t> values;   ///< as many as the product of the extents
};

/// A whole file. Appends a violation naming the file and returns nothing for: a missing or unreadable file, a
/// wrong magic, type or number of dimensions, extents whose product overflows or exceeds what the file holds,
/// a truncated or damaged gzip stream (check sum included), and trailing bytes.
std::optional<IdxArray> read_idx(const std::filesystem::path&, int dimensions,
                                 std::vector<base::Violation>& violations);

enum class Compression { none, gzip };

/// Writes a file through a temporary one beside it, renamed last. The bytes depend on the content only (no
/// time stamp). Throws `base::EnvironmentError`.
void write_idx(const std::filesystem::path&, std::span<const std::int64_t> extents,
               std::span<const std::uint8_t> values, Compression);

}  // namespace partita::data
