/// What messages and windows of a machine take where ranks share cores: a core's part in them lasts longer,
/// and what has come is seen when its rank has its turn. On cores of their own they take what the machine
/// says.
#pragma once

#include "partita/machine/machine.hpp"

namespace partita::sim {

using machine::Picoseconds;

/// What a core takes for it that so many ranks have in equal parts.
inline Picoseconds crowded(Picoseconds alone, double crowding) {
  return crowding > 1 ? machine::scaled(alone, crowding) : alone;
}

class TransferTimes {
 public:
  /// `crowding` as in `cost::Execution`. The machine outlives it.
  TransferTimes(const machine::Machine& machine, double crowding) : machine_(machine), crowding_(crowding) {}

  [[nodiscard]] const machine::Machine& machine() const { return machine_; }

  [[nodiscard]] machine::MessageTime message(int from, int to, kernels::Bytes) const;
  /// Between any two ranks whom that level joins; without levels, of level 0.
  [[nodiscard]] machine::MessageTime message_on(std::size_t level, kernels::Bytes) const;
  [[nodiscard]] machine::WindowTime window(kernels::Bytes staged, kernels::Bytes loaded,
                                           kernels::Bytes stored, int part) const;
  [[nodiscard]] Picoseconds combine(kernels::Bytes, int part) const;

 private:
  [[nodiscard]] Picoseconds of_core(Picoseconds alone) const { return crowded(alone, crowding_); }
  [[nodiscard]] Picoseconds turn() const;

  const machine::Machine& machine_;
  double crowding_;
};

}  // namespace partita::sim
