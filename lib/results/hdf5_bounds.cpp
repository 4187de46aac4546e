/// Each check before something is read: that a member is no link, that values lie in this file, that they can
/// fit into it; and after it, that they are those whose sum was written.
#include "hdf5_bounds.hpp"

#include <algorithm>

#include "column_sum.hpp"
#include "hdf5_check.hpp"

namespace partita::results::hdf5 {
namespace {

constexpr std::size_t longest_quote = 100;
constexpr unsigned long long deflate_ratio = 1032;
constexpr const char* sum_name = "checksum";

bool is_stored_here(hid_t dataset) {
  const PropertyList creation(checked(H5Dget_create_plist(dataset), "H5Dget_create_plist"));
  const auto layout = checked(H5Pget_layout(creation.get()), "H5Pget_layout");
  return layout != H5D_VIRTUAL && H5Pget_external_count(creation.get()) == 0;
}

hsize_t file_size(hid_t object) {
  const base::UniqueHandle<HandleTraits<H5Fclose>> file(checked(H5Iget_file_id(object), "H5Iget_file_id"));
  hsize_t size = 0;
  checked(H5Fget_filesize(file.get(), &size), "H5Fget_filesize");
  return size;
}

}  // namespace

std::string quoted(const std::string& text) {
  std::string shown = text.substr(0, longest_quote);
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return "\"" + shown + (text.size() > longest_quote ? "…\"" : "\"");
}

std::string place_of(hid_t parent, const std::string& name) {
  char path[longest_quote] = {};
  const auto length = H5Iget_name(parent, path, sizeof path);
  std::string place = length > 0 ? path : "";
  if (!place.ends_with('/')) place += '/';
  const auto quote = quoted(place + name);
  return quote.substr(1, quote.size() - 2);
}

void require_own_member(hid_t parent, const std::string& name) {
  const auto place = place_of(parent, name);
  if (checked(H5Lexists(parent, name.c_str(), H5P_DEFAULT), "H5Lexists " + place) == 0)
    throw Failure(place + " is missing");
  H5L_info_t link{};
  checked(H5Lget_info(parent, name.c_str(), &link, H5P_DEFAULT), "H5Lget_info " + place);
  if (link.type != H5L_TYPE_HARD) throw Failure(place + " is a link to elsewhere, not a member of this file");
}

std::size_t require_held(hid_t dataset, const Extents& extents, std::size_t width, const std::string& place) {
  if (!is_stored_here(dataset)) throw Failure(place + " keeps its values outside this file");
  hsize_t count = 1, bytes = width;
  bool beyond = width == 0;
  for (const auto extent : extents) {
    if (extent == 0) throw Failure(place + " has no values");
    beyond = beyond || __builtin_mul_overflow(count, extent, &count) ||
             __builtin_mul_overflow(bytes, extent, &bytes);
  }
  const auto held = std::min(H5Dget_storage_size(dataset), file_size(dataset));
  if (beyond || bytes / deflate_ratio > held)
    throw Failure(place + " claims more values than the file can hold");
  return static_cast<std::size_t>(count);
}

void write_sum(hid_t dataset, std::span<const std::byte> values) {
  write_attribute(dataset, sum_name, sum_of(values));
}

void check_sum(hid_t dataset, std::span<const std::byte> values, const std::string& place) {
  if (!has_attribute(dataset, sum_name)) return;
  std::uint64_t sum = 0;
  read_attribute(dataset, sum_name, sum);
  if (sum != sum_of(values)) throw Failure("column " + place + " does not hold the values that were written");
}

}  // namespace partita::results::hdf5
