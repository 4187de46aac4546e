/// A gzip stream, pulled in pieces of the size that its first byte says: whole or with an error, never both;
/// and what was packed comes out again.
#include "gzip.hpp"

#include <algorithm>
#include <cstdlib>

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes pull(std::span<const std::uint8_t> stream, std::uint64_t piece, std::uint64_t most, bool& whole) {
  partita::data::GzipReader reader(stream);
  Bytes plain;
  for (std::size_t before = 1; before != plain.size() && plain.size() < most;) {
    before = plain.size();
    reader.read(plain, piece);
  }
  if (reader.complete() && !reader.error().empty()) std::abort();
  whole = reader.complete();
  return plain;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  bool whole = false;
  constexpr std::uint64_t most = 1 << 20;
  pull(rest, 1 + std::uint64_t{data[0]} * 64, most, whole);
  const Bytes plain(rest.begin(), rest.end());
  const auto packed = partita::data::gzip(plain);
  if (pull(packed, std::max<std::uint64_t>(size, 1), size + 1, whole) != plain || !whole) std::abort();
  return 0;
}
