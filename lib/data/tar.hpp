/// The files in a tar archive held in memory (POSIX ustar, and what GNU tar writes): names, and where their
/// bytes lie. Nothing is unpacked, and no size that a header claims is believed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "file_bytes.hpp"

namespace partita::data {

struct TarMember {
  std::string name;  ///< with its folders
  std::span<const std::uint8_t> content;
};

/// Appends the regular files. The complaint names the byte at which the archive is no archive, damaged or
/// truncated.
Complaint list_tar(std::span<const std::uint8_t> archive, std::vector<TarMember>& members);

}  // namespace partita::data
