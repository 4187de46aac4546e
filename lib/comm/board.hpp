/// What every rank shows of itself to the watchdogs of the others: one block a rank, in memory that the ranks
/// of a host share, so that it can be read while its owner is stuck or gone.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "partita/collective/traffic.hpp"

namespace partita::comm {

/// One operation as a block shows it.
struct Shown {
  /// Beyond `collective::Operation`: freeing shared memory, leaving the program, a condition of the caller's.
  static constexpr std::uint8_t release = 100, leave = 101, condition = 102;

  std::uint8_t group = 0;  ///< index in `Block::group`
  std::uint8_t operation = 0, axis = 0, purpose = 0;
  std::uint32_t number = 0;  ///< of collectives: on its communicator, from 1; of messages: of its plan's run
  std::int32_t peer = -1;    ///< of messages: rank of the world
  std::int32_t plan = 0;     ///< of collectives: on its communicator; of messages: the tag
  std::int64_t elements = -1;  ///< -1: none to be compared

  [[nodiscard]] bool is_message() const {
    return operation <= static_cast<std::uint8_t>(collective::Operation::receive);
  }
  friend bool operator==(const Shown&, const Shown&) = default;
};
using ShownWords = std::array<std::uint64_t, 3>;
static_assert(sizeof(Shown) == sizeof(ShownWords));

/// A block is words only, written with relaxed atomics by its owner; a copy is what others have read.
struct alignas(64) Block {
  enum State : std::uint64_t { absent, running, ended };
  static constexpr std::size_t remembered = 64, groups = 64;

  std::uint64_t state = absent;
  std::uint64_t process = 0;      ///< id, on its host
  std::uint64_t activity = 0;     ///< collective::Activity
  std::uint64_t instruction = 0;  ///< see `Position`
  std::uint64_t waits = 0;        ///< 1 while `waiting` holds
  ShownWords waiting{};
  std::uint64_t started = 0;  ///< operations; the last ones are in `recent`
  std::array<ShownWords, remembered> recent{};
  /// Of each communicator that the rank belongs to: the collectives started in the low half, its key
  /// in the high one; 0: none.
  std::array<std::uint64_t, groups> group{};
  // Of the first rank of a node only: which of its ranks reports, and to whom the node has answered.
  std::uint64_t reporter = 0, answered = 0;
};

inline void show(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref(word).store(value, std::memory_order_relaxed);
}
inline void show(ShownWords& words, const Shown& operation) {
  const auto values = std::bit_cast<ShownWords>(operation);
  for (std::size_t i = 0; i < values.size(); ++i)
    show(words[i], values[i]);
}

/// A consistent copy where the owner stands still, a torn one where it moves.
inline Block read(const Block& block) {
  Block copy;
  static_assert(sizeof(Block) % sizeof(std::uint64_t) == 0);
  auto* from = reinterpret_cast<std::uint64_t*>(const_cast<Block*>(&block));
  auto* to = reinterpret_cast<std::uint64_t*>(&copy);
  for (std::size_t i = 0; i < sizeof(Block) / sizeof(std::uint64_t); ++i)
    to[i] = std::atomic_ref(from[i]).load(std::memory_order_relaxed);
  return copy;
}

}  // namespace partita::comm
