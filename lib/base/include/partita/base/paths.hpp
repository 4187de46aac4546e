/// Questions about paths that users wrote, and changes there. None throws a `filesystem_error`, whatever the
/// text is: a loop of links, a name too long, a folder that may not be searched, a file where a folder should
/// be.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace partita::base {

/// Whether something lies there; false also where that cannot be seen: `path_problem` says why, and so does
/// whoever opens it.
bool exists(const std::filesystem::path&);

/// Why a path cannot be looked at, such as "Too many levels of symbolic links"; empty where it can, and where
/// nothing lies there.
std::string path_problem(const std::filesystem::path&);

/// Why nothing can be put into a folder, such as "cannot be written: Permission denied"; empty where that can
/// be done, and where nothing lies there.
std::string folder_problem(const std::filesystem::path&);

/// The path from the root without "." and ".."; itself where there is no working folder.
std::filesystem::path absolute(const std::filesystem::path&);

/// Bytes of a file; 0 where that cannot be seen.
std::uintmax_t size_of(const std::filesystem::path&);

/// Each of these says why it could not, such as "cannot be deleted: Directory not empty"; empty: it is done.
/// Makes a folder and those above it; one that is there already is none to make.
[[nodiscard]] std::string make_folders(const std::filesystem::path&);
/// Deletes a file, a link or an empty folder, if there is one.
[[nodiscard]] std::string remove_file(const std::filesystem::path&);
/// Also in place of a file that is called so already.
[[nodiscard]] std::string rename_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Throws `ConfigError` about the path, unless the problem is empty.
void refuse_path(const std::filesystem::path&, const std::string& problem);

}  // namespace partita::base
