/// The names of a set's classes: a text beside its files, whose n-th line, counted from 0, names class n.
///
/// UTF-8, at most 200 bytes a name, no control characters; line feeds with or without carriage return; a
/// byte-order mark and empty lines at the end are skipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::data {

inline constexpr const char* class_names_file = "classes.txt";

/// The names in a text. Appends a violation naming `place` and the line, and returns nothing, for what is not
/// as above and for a text without names.
std::optional<std::vector<std::string>> parse_class_names(std::span<const std::uint8_t> text,
                                                          const std::string& place,
                                                          std::vector<base::Violation>& violations);

/// The names in a folder's file; none where there is no such file. Violations as above, and for a file that
/// cannot be read.
std::vector<std::string> read_class_names(const std::filesystem::path& folder,
                                          std::vector<base::Violation>& violations);

/// Writes the folder's file through a temporary one. Throws `base::EnvironmentError`.
void write_class_names(const std::filesystem::path& folder, std::span<const std::string> names);

}  // namespace partita::data
