/// What result and model files have in common: whose they are, and how they are checked before anything is
/// read.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "hdf5.hpp"

namespace partita::results {

/// Marks a new file: `schema_version`, `software`, `content`.
void sign(const hdf5::File&, const std::string& content);

/// The bytes of a file that `fill` builds in memory. Throws `WriteError`.
std::vector<std::byte> build_image(const std::string& content,
                                   const std::function<void(const hdf5::File&)>& fill);

/// Builds a file in memory with `fill` and replaces `path` by it; the bytes on disk pass `verify` first.
void write_document(const std::filesystem::path& path, const std::string& content,
                    const std::function<void(const hdf5::File&)>& fill,
                    const std::function<void(const hdf5::File&)>& verify);

/// Whether a file may lack all marks: one that other software wrote in our layout.
enum class Marks { required, optional };
bool has_marks(const hdf5::File&);

/// Opens `path`, checks the marks, and gives the file to `take`, in a child process first. Whatever HDF5
/// refuses, or crashes on there, becomes a `base::ConfigError` that names the file.
void read_document(const std::filesystem::path& path, const std::string& content,
                   const std::function<void(const hdf5::File&)>& take, Marks marks = Marks::required);

/// The same for bytes that somebody vouches for (by their SHA-256), without the child.
void read_vouched_document(const std::filesystem::path& path, std::span<const std::byte> bytes,
                           const std::string& content, const std::function<void(const hdf5::File&)>& take);

}  // namespace partita::results
