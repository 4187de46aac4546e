/// Whole files as bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace partita::data {

/// What is wrong with one file, or nothing.
using Complaint = std::optional<std::string>;

/// Memory grows with what the file holds.
Complaint read_whole(const std::filesystem::path&, std::vector<std::uint8_t>& out);

/// Through a temporary file beside it, renamed last. Throws `base::EnvironmentError`.
void write_whole(const std::filesystem::path&, std::span<const std::uint8_t> bytes);

}  // namespace partita::data
