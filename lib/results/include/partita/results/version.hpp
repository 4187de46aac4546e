/// Which build this is. The commit is looked up when the program is built, not when it was configured.
#pragma once

#include <string>
#include <string_view>

namespace partita::results {

struct Version {
  std::string_view software_version;  ///< "0.1.0"
  std::string_view git_commit;        ///< 40 digits, or "unknown" outside a repository
  bool git_dirty = false;             ///< tracked files differed from the commit
};

Version version();

/// The HDF5 library in use, "1.10.8".
std::string hdf5_version();

}  // namespace partita::results
