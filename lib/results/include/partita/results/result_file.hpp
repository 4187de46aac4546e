/// Result files: HDF5, written whole or not at all.
///
/// A snapshot is built in memory, written to a temporary file in the same folder, fsynced, reopened and
/// verified, renamed over the result, and the folder is fsynced. A run that is killed at any moment leaves
/// the last whole snapshot, or no file before the first. HDF5 never touches the disk, so a full disk cannot
/// leave it with a file that it can neither flush nor close: after a `WriteError` the program may go on, try
/// again, or leave by any way it likes.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/results/record.hpp"

namespace partita::results {

/// A file could not be written (full disk, quota, file size limit, lost folder). The previous snapshot is
/// intact and the temporary file is gone.
class WriteError : public base::EnvironmentError {
 public:
  using base::EnvironmentError::EnvironmentError;
};

/// Whether a file can be written at `path`: the folder exists and is writable (tried with a file), an
/// existing file is regular and `overwrite` is given. Writes nothing that stays. `key` names the option in
/// the violations.
std::vector<base::Violation> check_output_path(std::string_view key, const std::filesystem::path& path,
                                               bool overwrite);

/// Replaces `path` by the record, atomically. Throws `WriteError`, or `base::ContractError` for columns whose
/// lengths disagree.
void write_snapshot(const std::filesystem::path& path, const RunRecord&);

/// The bytes that `write_snapshot` would write.
std::vector<std::byte> image_of(const RunRecord&);

/// Reads and checks a result file. Throws `base::ConfigError` naming the file when it is not a result file,
/// is newer than this program, truncated or damaged, and `base::EnvironmentError` when the file cannot be
/// read at all.
RunRecord read(const std::filesystem::path& path);

}  // namespace partita::results
