/// Which build this is, and the versions of what it is built on.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace partita::base {

struct Version {
  std::string_view software_version;  ///< "0.1.0"
  std::string_view git_commit;        ///< 40 digits, or "unknown" outside a repository
  bool git_dirty = false;             ///< tracked files differed from the commit
};

/// The commit is looked up when the program is built, not when it was configured.
Version version();

/// Versions by name: "hdf5" → "1.10.8".
using Versions = std::map<std::string, std::string>;

/// Compiler, CMake and every library, whether this program calls it or not, as found when the build was
/// configured. `running` is what libraries tell of themselves when asked; where that is another version, both
/// are said: "1.3.1 (built with 1.2.13)". A name in `running` that is none of the dependencies breaks the
/// contract.
Versions dependency_versions(Versions running = {});

/// What --version prints: the program with its version and commit, then a line for each dependency.
std::string version_text(std::string_view program, const Versions& running = {});

}  // namespace partita::base
