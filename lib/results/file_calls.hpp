/// The few calls on files that everything written here needs, checked: each refusal becomes a `WriteError`
/// that names the call and the file.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "partita/base/handle.hpp"
#include "partita/results/result_file.hpp"

namespace partita::results {

struct DescriptorTraits {
  using Handle = int;
  static Handle null() { return -1; }
  static void close(Handle handle) noexcept;
};
using Descriptor = base::UniqueHandle<DescriptorTraits>;

/// Throws what errno says of `call`.
[[noreturn]] void refuse(const std::string& call, const std::filesystem::path&);
/// A new, empty file for writing; never one behind a link.
Descriptor create_file(const std::filesystem::path&);
void write_all(const Descriptor&, std::span<const std::byte>, const std::filesystem::path&);
void sync_file(const Descriptor&, const std::filesystem::path&);
/// Closing reports what a network file system kept back until then.
void close_checked(Descriptor&, const std::filesystem::path&);
void sync_folder(const std::filesystem::path& folder);
std::filesystem::path folder_of(const std::filesystem::path&);
/// Where a file is written before it is renamed to `path`.
std::filesystem::path temporary_of(const std::filesystem::path& path);

}  // namespace partita::results
