/// The library that files are written with.
#pragma once

#include <string>

namespace partita::results {

/// Of HDF5 in use: "1.10.8".
std::string hdf5_version();

}  // namespace partita::results
