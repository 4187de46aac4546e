/// Walks from header to header; checksum, octal numbers and sizes are checked before a member is named. Only
/// plain files are listed.
#include "tar.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace partita::data {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t block = 512;

/// A field of a header: first byte and length.
struct Field {
  std::size_t at, length;
};
constexpr Field name_field{0, 100}, size_field{124, 12}, checksum_field{148, 8}, magic_field{257, 5},
    prefix_field{345, 155};
constexpr std::size_t type_at = 156;

/// Up to its first zero.
std::string text_of(Bytes header, Field field) {
  const auto bytes = header.subspan(field.at, field.length);
  return {bytes.begin(), std::find(bytes.begin(), bytes.end(), 0)};
}

/// Octal digits, blanks before and a blank or zero behind.
std::optional<std::uint64_t> number_of(Bytes header, Field field) {
  std::string text = text_of(header, field);
  text.erase(0, text.find_first_not_of(' '));
  text.resize(std::min(text.find(' '), text.size()));
  std::uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7') return std::nullopt;
    value = 8 * value + static_cast<std::uint64_t>(digit - '0');
  }
  return text.empty() ? std::nullopt : std::optional(value);
}

/// The checksum counts its own field as blanks.
bool has_right_checksum(Bytes header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.size(); ++i)
    sum += i >= checksum_field.at && i < checksum_field.at + checksum_field.length ? ' ' : header[i];
  return number_of(header, checksum_field) == sum;
}

std::string name_of(Bytes header) {
  const auto name = text_of(header, name_field);
  const auto prefix = text_of(header, magic_field) == "ustar" ? text_of(header, prefix_field) : "";
  return prefix.empty() ? name : prefix + "/" + name;
}

}  // namespace

Complaint list_tar(Bytes archive, std::vector<TarMember>& members) {
  for (std::size_t at = 0; at < archive.size();) {
    const auto place = "at byte " + std::to_string(at) + " ";
    if (archive.size() - at < block) return place + "it ends inside a header (truncated)";
    const auto header = archive.subspan(at, block);
    if (std::all_of(header.begin(), header.end(), [](auto byte) { return byte == 0; })) return std::nullopt;
    if (!has_right_checksum(header)) return place + "is no header of a tar archive: its check sum is wrong";
    const auto size = number_of(header, size_field);
    if (!size) return place + "a header's size is no octal number";
    at += block;
    if (*size > archive.size() - at)
      return place + name_of(header) + " has " + std::to_string(*size) + " bytes, " +
             std::to_string(archive.size() - at) + " are there (truncated)";
    if (const auto type = header[type_at]; type == '0' || type == 0)
      members.push_back({name_of(header), archive.subspan(at, *size)});
    const auto padded = (*size + block - 1) / block * block;
    at += std::min<std::size_t>(padded, archive.size() - at);
  }
  return "it ends at byte " + std::to_string(archive.size()) +
         " without the block of zeros that ends a tar archive (truncated)";
}

}  // namespace partita::data
