/// Ways to damage a file's bytes, each drawn from a seeded generator.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace partita::fuzz {

using Random = std::mt19937_64;

/// A block of HDF5 metadata that ends with its own checksum.
struct ChecksummedBlock {
  std::size_t begin = 0, end = 0;  ///< the checksum is the last four bytes
};

/// The blocks of a file of HDF5 1.10's format, found by their signatures and by where their checksum agrees.
std::vector<ChecksummedBlock> find_checksummed(const std::string& file);

enum class Damage {
  bit,         ///< one bit flipped
  bits,        ///< up to 64
  truncation,  ///< cut at any byte
  extension,   ///< random bytes behind the end
  splice,      ///< a stretch of the file over another
  zeros,       ///< a stretch that was never written
  noise,       ///< a stretch of random bytes
  garbage,     ///< random bytes behind a right signature
  crafted      ///< bytes of metadata changed and its checksum made right again
};
inline constexpr Damage all_damages[] = {Damage::bit,       Damage::bits,    Damage::truncation,
                                         Damage::extension, Damage::splice,  Damage::zeros,
                                         Damage::noise,     Damage::garbage, Damage::crafted};
std::string_view to_string(Damage);

/// A damaged copy, which is never equal to the file.
std::string damaged(const std::string& file, std::span<const ChecksummedBlock> blocks, Damage, Random&);

}  // namespace partita::fuzz
