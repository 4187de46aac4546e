/// Questions about paths that users wrote. None of them throws, whatever the text is: a loop of links, a name
/// too long, a folder that may not be searched.
#pragma once

#include <filesystem>
#include <string>

namespace partita::base {

/// Whether something lies there; false also where that cannot be seen: `path_problem` says why, and so does
/// whoever opens it.
bool exists(const std::filesystem::path&);

/// Why a path cannot be looked at, such as "Too many levels of symbolic links"; empty where it can, and where
/// nothing lies there.
std::string path_problem(const std::filesystem::path&);

/// The path from the root without "." and ".."; itself where there is no working folder.
std::filesystem::path absolute(const std::filesystem::path&);

}  // namespace partita::base
