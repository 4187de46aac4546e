/// Where a rank is in its program, kept where the others can read it when it is stuck.
#pragma once

#include <atomic>
#include <cstdint>

namespace partita::comm {

/// One word that this rank writes and the watchdogs of the others read; what it means is up to the program,
/// which tells by `MpiEnvironment::name_instructions`. 0: nothing yet.
class Position {
 public:
  explicit Position(std::uint64_t* word) : word_(word) {}
  /// Costs one store.
  void set(std::uint64_t instruction) const {
    std::atomic_ref(*word_).store(instruction, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get() const { return std::atomic_ref(*word_).load(std::memory_order_relaxed); }

 private:
  std::uint64_t* word_;
};

}  // namespace partita::comm
