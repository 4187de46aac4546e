/// Key streams a few KiB at a time, which stay in the first-level cache between the cipher and the sum.
#include "partita/execute/masks.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

#include "partita/base/error.hpp"

namespace partita::execute {
namespace {

constexpr std::size_t block_bytes = 8192;

/// Adds what the stream gives to the words of a message, or takes it from them.
template <class T>
void mask(std::span<T> message, base::KeyStream& stream, bool adds) {
  using Word = std::make_unsigned_t<T>;
  constexpr std::size_t block = block_bytes / sizeof(Word);
  std::array<Word, block> words;
  const base::WipedAtEnd wiped({reinterpret_cast<std::uint8_t*>(words.data()), sizeof words});
  for (std::size_t begin = 0; begin < message.size(); begin += block) {
    const std::size_t count = std::min(block, message.size() - begin);
    stream.fill({reinterpret_cast<std::uint8_t*>(words.data()), count * sizeof(Word)});
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = static_cast<Word>(message[begin + i]);
      message[begin + i] = static_cast<T>(adds ? value + words[i] : value - words[i]);
    }
  }
}

}  // namespace

Masks::Masks(const base::KeyPair& own, int rank, std::span<const base::Key> public_keys,
             std::string_view config_hash, std::string_view axis)
    : rank_(rank) {
  const auto mine = static_cast<std::size_t>(rank);
  base::expect(public_keys.size() > 1 && mine < public_keys.size(), "masks are those of pairs of ranks",
               public_keys.size());
  for (std::size_t other = 0; other < public_keys.size(); ++other) {
    if (other == mine) continue;
    auto secret = own.shared_secret(public_keys[other]);
    auto key = base::key_of_pair(secret, config_hash, axis, public_keys[std::min(mine, other)],
                                 public_keys[std::max(mine, other)]);
    const base::WipedAtEnd wiped_secret(secret), wiped_key(key);
    streams_.emplace_back(key);
  }
}

void Masks::add(kernels::View message, const base::Nonce& nonce) {
  constexpr std::int64_t longest = std::int64_t{1} << 38;  // what 2³² blocks of 64 bytes hide
  base::expect(message.bytes().value() <= longest, "a message has no more bytes than a nonce hides",
               message.bytes());
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    auto& stream = streams_[i];
    const bool adds = static_cast<int>(i) >= rank_;  // its other rank is a later one
    stream.begin(nonce);
    if (message.type() == kernels::DataType::int64)
      mask(message.as<std::int64_t>(), stream, adds);
    else
      mask(message.as<std::int32_t>(), stream, adds);
  }
}

}  // namespace partita::execute
