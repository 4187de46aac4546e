/// The library that messages go through.
#pragma once

#include <string>

namespace partita::comm {

/// Of MPI in use: the first line of MPI_Get_library_version, "MPICH Version: 4.0.2". Also before it is
/// initialised.
std::string library_version();

}  // namespace partita::comm
