/// Files that are replaced whole: temporary file in the same folder → fsync → verify → rename → fsync of the
/// folder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace partita::results {

/// All bytes of a file; throws `base::EnvironmentError`.
std::vector<std::byte> read_bytes(const std::filesystem::path&);

/// Replaces `path` by `bytes`. What was written is read back, compared, and given to `verify`, which throws
/// to refuse it. Throws `WriteError`; `path` is then unchanged and the temporary file removed. A process
/// killed on the way leaves a temporary file ".<name>.partial", which the next call replaces.
void replace_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                  const std::function<void(std::span<const std::byte>)>& verify);
/// The same by a text of which nothing more is to be verified.
void replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace partita::results
