/// The library that files are compressed with.
#pragma once

#include <string>

namespace partita::data {

/// Of zlib in use: "1.2.13".
std::string library_version();

}  // namespace partita::data
