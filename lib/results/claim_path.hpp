/// Where the lock of what is claimed lies.
#pragma once

#include <filesystem>

#include "file_calls.hpp"

namespace partita::results {

/// Of a file that is written.
inline std::filesystem::path lock_beside(const std::filesystem::path& file) {
  return folder_of(file) / ("." + file.filename().string() + ".lock");
}

/// Of a folder that is kept: beside it the folder above would have to be writable.
inline std::filesystem::path lock_inside(const std::filesystem::path& folder) { return folder / ".lock"; }

}  // namespace partita::results
