/// Checks the magic number, extents and length before the content is used; of a packed file only as much is
/// unpacked as its header allows, and one byte more to notice what is too long.
#include "partita/data/idx.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <string>

#include "file_bytes.hpp"
#include "gzip.hpp"
#include "partita/kernels/host_pages.hpp"

namespace partita::data {
namespace {

namespace fs = std::filesystem;
using Values = std::vector<std::uint8_t>;

constexpr std::uint8_t unsigned_byte = 0x08;

std::string hexadecimal(std::uint8_t byte) {
  char text[8];
  std::snprintf(text, sizeof text, "0x%02x", byte);
  return text;
}

/// Checks the four magic bytes; `head` holds fewer when the content ends before.
Complaint check_magic(std::span<const std::uint8_t> head, int dimensions) {
  if (head.size() < 4)
    return "holds " + std::to_string(head.size()) + " bytes, fewer than the 4 of an IDX magic number";
  if (head[0] != 0 || head[1] != 0)
    return "is no IDX file: begins with " + hexadecimal(head[0]) + " " + hexadecimal(head[1]) +
           ", expected 0x00 0x00";
  if (head[2] != unsigned_byte)
    return "holds elements of type " + hexadecimal(head[2]) + ", expected 0x08 (unsigned bytes)";
  if (head[3] != dimensions)
    return "has " + std::to_string(head[3]) + " dimensions, expected " + std::to_string(dimensions);
  return std::nullopt;
}

/// Extents of a header that is known to be whole, and the bytes they ask for.
Complaint read_extents(std::span<const std::uint8_t> bytes, IdxArray& array, std::uint64_t& payload) {
  payload = 1;
  bool overflow = false;
  for (std::size_t at = 0; at < bytes.size(); at += 4) {
    const std::uint64_t extent = (static_cast<std::uint64_t>(bytes[at]) << 24) |
                                 (static_cast<std::uint64_t>(bytes[at + 1]) << 16) |
                                 (static_cast<std::uint64_t>(bytes[at + 2]) << 8) | bytes[at + 3];
    array.extents.push_back(static_cast<std::int64_t>(extent));
    overflow |= __builtin_mul_overflow(payload, extent, &payload);
  }
  if (overflow || payload > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 2)) {
    std::string text;
    for (auto extent : array.extents)
      text += (text.empty() ? "" : " x ") + std::to_string(extent);
    return "its header claims " + text + " elements, more than any file holds";
  }
  return std::nullopt;
}

std::string size_mismatch(std::uint64_t held, std::uint64_t expected, bool more) {
  return "holds " + std::string(more ? "more than " : "") + std::to_string(held) +
         " bytes after its header, expected " + std::to_string(expected) +
         (more              ? " (trailing bytes)"
          : held < expected ? " (truncated)"
                            : "");
}

Complaint parse_plain(Values content, int dimensions, IdxArray& array) {
  if (auto complaint =
          check_magic(std::span(content).first(std::min<std::size_t>(content.size(), 4)), dimensions))
    return complaint;
  const std::size_t header = 4 + 4 * static_cast<std::size_t>(dimensions);
  if (content.size() < header) return "ends inside its header of " + std::to_string(header) + " bytes";
  std::uint64_t payload = 0;
  if (auto complaint = read_extents(std::span(content).subspan(4, header - 4), array, payload))
    return complaint;
  const std::uint64_t held = content.size() - header;
  if (held < payload) return size_mismatch(held, payload, false);
  if (held > payload) return size_mismatch(payload, payload, true);
  content.erase(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(header));
  array.values = std::move(content);
  return std::nullopt;
}

Complaint parse_gzip(const Values& compressed, int dimensions, IdxArray& array) {
  GzipReader reader(compressed);
  Values head;
  reader.read(head, 4);
  if (head.size() < 4 && !reader.error().empty()) return reader.error();
  if (auto complaint = check_magic(head, dimensions)) return complaint;
  Values extents;
  reader.read(extents, 4 * static_cast<std::uint64_t>(dimensions));
  if (extents.size() < 4 * static_cast<std::size_t>(dimensions))
    return reader.error().empty() ? "ends inside its header" : reader.error();
  std::uint64_t payload = 0;
  if (auto complaint = read_extents(extents, array, payload)) return complaint;
  constexpr std::uint64_t most_packed = 1032;  // bytes that deflate can make of one
  kernels::reserve_huge_pages(array.values, std::min(payload + 1, most_packed * compressed.size()));
  reader.read(array.values, payload + 1);  // one more: to reach the check sum, and to notice trailing bytes
  if (array.values.size() > payload) return size_mismatch(payload, payload, true);
  if (!reader.error().empty()) return reader.error();
  if (array.values.size() < payload) return size_mismatch(array.values.size(), payload, false);
  return std::nullopt;
}

}  // namespace

std::optional<IdxArray> read_idx(const fs::path& path, int dimensions,
                                 std::vector<base::Violation>& violations) {
  Values content;
  IdxArray array;
  auto complaint = read_whole(path, content);
  if (!complaint) {
    complaint = is_gzip(content) ? parse_gzip(content, dimensions, array)
                                 : parse_plain(std::move(content), dimensions, array);
  }
  if (!complaint) return array;
  violations.push_back({.key = path.string(), .value = "", .message = *complaint});
  return std::nullopt;
}

void write_idx(const fs::path& path, std::span<const std::int64_t> extents,
               std::span<const std::uint8_t> values, Compression compression) {
  Values bytes{0, 0, unsigned_byte, static_cast<std::uint8_t>(extents.size())};
  std::int64_t elements = 1;
  for (const auto extent : extents) {
    base::expect(extent >= 0 && extent <= std::numeric_limits<std::uint32_t>::max(),
                 "an IDX extent fits into 32 bits", extent);
    elements *= extent;
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<std::uint8_t>(extent >> shift));
  }
  base::expect(elements == static_cast<std::int64_t>(values.size()),
               "IDX extents multiply to the values' number");
  bytes.insert(bytes.end(), values.begin(), values.end());
  write_whole(path, compression == Compression::gzip ? gzip(bytes) : bytes);
}

}  // namespace partita::data
