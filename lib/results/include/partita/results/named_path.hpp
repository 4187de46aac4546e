/// The paths that a program was given, each with what it is for: no file may have two roles of which one
/// writes.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::results {

enum class Use {
  reads,
  writes,  ///< a file, replaced whole
  keeps,   ///< a folder whose content is this process's own
  shares,  ///< a folder in which several processes keep a part each
};

struct NamedPath {
  std::string role;  ///< as its user calls it: "output", "load-model"
  std::filesystem::path path;
  Use use = Use::reads;
};

/// The file that a path leads to: behind symbolic links, also those to nothing yet.
std::filesystem::path behind_links(const std::filesystem::path&);

/// Every pair of roles that one file would have, unless both only read it. Files that exist are the same by
/// their place on the disk, whatever they are called (links of both kinds); others by the real path of their
/// folder and their name. What is written beside a file on the way (temporary file, lock) counts as its own.
/// Empty paths have no role.
std::vector<base::Violation> check_roles(std::span<const NamedPath>);

}  // namespace partita::results
