#include "damaged_bytes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace partita::fuzz {
namespace {

std::uint32_t word(const unsigned char* bytes, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i)
    value |= static_cast<std::uint32_t>(bytes[i]) << (8 * i);
  return value;
}

/// Jenkins' lookup3 ("hashlittle", public domain), with which HDF5 checks metadata.
std::uint32_t lookup3(std::string_view text) {
  const auto* k = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  std::uint32_t a = 0xdeadbeef + static_cast<std::uint32_t>(left), b = a, c = a;
  const auto part = [&](std::size_t from) {
    return left > from ? word(k + from, std::min<std::size_t>(left - from, 4)) : 0u;
  };
  for (; left > 12; left -= 12, k += 12) {
    a += part(0), b += part(4), c += part(8);
    a -= c, a ^= std::rotl(c, 4), c += b;
    b -= a, b ^= std::rotl(a, 6), a += c;
    c -= b, c ^= std::rotl(b, 8), b += a;
    a -= c, a ^= std::rotl(c, 16), c += b;
    b -= a, b ^= std::rotl(a, 19), a += c;
    c -= b, c ^= std::rotl(b, 4), b += a;
  }
  if (left == 0) return c;
  a += part(0), b += part(4), c += part(8);
  c ^= b, c -= std::rotl(b, 14);
  a ^= c, a -= std::rotl(c, 11);
  b ^= a, b -= std::rotl(a, 25);
  c ^= b, c -= std::rotl(b, 16);
  a ^= c, a -= std::rotl(c, 4);
  b ^= a, b -= std::rotl(a, 14);
  c ^= b, c -= std::rotl(b, 24);
  return c;
}

constexpr std::size_t checksum_bytes = 4, largest_block = 4096;

std::uint32_t stored_checksum(std::string_view block) {
  const auto* at = reinterpret_cast<const unsigned char*>(block.data()) + block.size() - checksum_bytes;
  return word(at, checksum_bytes);
}

std::size_t below(std::size_t limit, Random& random) { return random() % std::max<std::size_t>(limit, 1); }

/// Lengths of all magnitudes, up to `most`.
std::size_t length(std::size_t most, Random& random) {
  return std::min(most, 1 + below(std::size_t{1} << below(17, random), random));
}

char byte(Random& random) { return static_cast<char>(random()); }

void overwrite(std::string& file, std::size_t at, std::string_view bytes) {
  std::copy_n(bytes.begin(), std::min(bytes.size(), file.size() - at), file.begin() + static_cast<long>(at));
}

std::string noise(std::size_t count, Random& random) {
  std::string bytes(count, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return byte(random); });
  return bytes;
}

/// Values at which sizes, addresses and versions go wrong, rather than any.
std::string edge(Random& random) {
  static constexpr std::array<std::uint64_t, 12> edges{0,
                                                       1,
                                                       2,
                                                       0x7f,
                                                       0xff,
                                                       0x7fff,
                                                       0xffff,
                                                       0x7fffffff,
                                                       0xffffffff,
                                                       0x4000000000000000,
                                                       0x7fffffffffffffff,
                                                       0xffffffffffffffff};
  const auto value = edges[below(edges.size(), random)];
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  bytes.resize(std::size_t{1} << below(4, random));
  return bytes;
}

void craft(std::string& file, std::span<const ChecksummedBlock> blocks, Random& random) {
  const auto block = blocks[below(blocks.size(), random)];
  const std::size_t inside = block.end - block.begin - checksum_bytes - 4;
  for (std::size_t i = 1 + below(3, random); i > 0; --i) {
    const auto at = block.begin + 4 + below(inside, random);
    auto bytes = below(2, random) == 0 ? std::string(1, byte(random)) : edge(random);
    bytes.resize(std::min(bytes.size(), block.end - checksum_bytes - at));
    overwrite(file, at, bytes);
  }
  const std::string_view content(file.data() + block.begin, block.end - block.begin - checksum_bytes);
  const auto sum = lookup3(content);
  std::memcpy(file.data() + block.end - checksum_bytes, &sum, sizeof sum);
}

std::string attempt(std::string file, std::span<const ChecksummedBlock> blocks, Damage damage,
                    Random& random) {
  const auto at = below(file.size(), random), from = below(file.size(), random);
  const auto flip = [&] { file[below(file.size(), random)] ^= static_cast<char>(1 << below(8, random)); };
  switch (damage) {
    case Damage::bit:
      flip();
      break;
    case Damage::bits:
      for (std::size_t i = 2 + below(63, random); i > 0; --i)
        flip();
      break;
    case Damage::truncation:
      file.resize(at);
      break;
    case Damage::extension:
      file += noise(length(1 << 16, random), random);
      break;
    case Damage::splice:
      overwrite(file, at, file.substr(from, length(file.size() - from, random)));
      break;
    case Damage::zeros:
      overwrite(file, at, std::string(length(file.size(), random), '\0'));
      break;
    case Damage::noise:
      overwrite(file, at, noise(length(file.size(), random), random));
      break;
    case Damage::garbage:
      file = file.substr(0, 8 + below(40, random)) + noise(length(1 << 16, random), random);
      break;
    case Damage::crafted:
      craft(file, blocks, random);
      break;
  }
  return file;
}

}  // namespace

std::vector<ChecksummedBlock> find_checksummed(const std::string& file) {
  static constexpr std::string_view signatures[] = {"\x89HDF", "OHDR", "OCHK", "FRHP", "FHIB", "FHDB", "BTHD",
                                                    "BTIN",    "BTLF", "FAHD", "FADB", "EAHD", "EAIB", "EASB",
                                                    "EADB",    "SMTB", "SMLI", "FSHD", "FSSE"};
  std::vector<ChecksummedBlock> blocks;
  for (const auto signature : signatures)
    for (auto at = file.find(signature); at != std::string::npos; at = file.find(signature, at + 1))
      for (std::size_t size = 12; size <= largest_block && at + size <= file.size(); ++size) {
        const std::string_view block(file.data() + at, size);
        if (lookup3(block.substr(0, size - checksum_bytes)) != stored_checksum(block)) continue;
        blocks.push_back({at, at + size});
        break;
      }
  return blocks;
}

std::string_view to_string(Damage damage) {
  static constexpr std::string_view names[] = {"bit",   "bits",  "truncation", "extension", "splice",
                                               "zeros", "noise", "garbage",    "crafted"};
  return names[static_cast<std::size_t>(damage)];
}

std::string damaged(const std::string& file, std::span<const ChecksummedBlock> blocks, Damage damage,
                    Random& random) {
  for (;;)
    if (auto copy = attempt(file, blocks, damage, random); copy != file) return copy;
}

}  // namespace partita::fuzz
