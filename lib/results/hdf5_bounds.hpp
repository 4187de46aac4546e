/// What a file may name and HDF5 would follow, but Partita never writes: members that lie elsewhere (soft and
/// external links, external and virtual storage), and sizes beyond what a file of its length can hold, values
/// other than those that were written.
#pragma once

#include <string>

#include "hdf5.hpp"

namespace partita::results::hdf5 {

/// "/steps/loss", printable and of bounded length whatever the file says.
std::string place_of(hid_t parent, const std::string& name);
/// The text in quotes, other bytes than printable ASCII and UTF-8 replaced, cut where it is long.
std::string quoted(const std::string& text);

/// Throws `Failure` unless `name` is a member of `parent` itself rather than a link to somewhere else.
void require_own_member(hid_t parent, const std::string& name);

/// Throws `Failure` unless the dataset's values lie in this file and `extents` of `width` bytes each can have
/// come from it (deflate packs 1,032 to 1 at most); gives their number, at least 1.
std::size_t require_held(hid_t dataset, const Extents& extents, std::size_t width, const std::string& place);

/// The first keeps a checksum of a dataset's values beside them; the second throws `Failure` where the values
/// are not those. A dataset of another program has no checksum, and passes.
void write_sum(hid_t dataset, std::span<const std::byte> values);
void check_sum(hid_t dataset, std::span<const std::byte> values, const std::string& place);

}  // namespace partita::results::hdf5
