/// A data set as a folder of IDX files, the way `data::load` reads it.
#pragma once

#include <filesystem>
#include <vector>

#include "partita/data/dataset.hpp"
#include "partita/data/idx.hpp"

namespace partita::app {

/// Makes a folder and those above it; one that cannot be is bad input: `base::ConfigError` about `key`.
void make_folder(const char* key, const std::filesystem::path& folder);

/// Every file that a set in this folder may have and has, labels first.
std::vector<std::filesystem::path> files_of_set(const std::filesystem::path& folder);

/// Images or features of both halves as bytes, labels, and the names of the classes where the set has any, in
/// place of every file that a set in the folder has. The old labels go first and the new ones come last: a
/// set without labels is none, so that no old file is ever read with a new one, wherever this is broken off.
/// Throws `base::ConfigError` where a file cannot be removed, `base::EnvironmentError` where one cannot be
/// written.
void write_set(const std::filesystem::path& folder, const data::DataPair&, data::Compression);

}  // namespace partita::app
