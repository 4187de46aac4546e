/// What messages and windows of a machine take where ranks share cores: a core's part in them lasts longer,
/// and what has come is seen when its rank has its turn. On cores of their own they take what the machine
/// says.
#pragma once

#include "partita/machine/machine.hpp"

namespace partita::machine {

/// What a core takes for it that so many ranks have in equal parts (`Machine::crowding`).
inline Picoseconds crowded(Picoseconds alone, double crowding) {
  return crowding > 1 ? scaled(alone, crowding) : alone;
}

class TransferTimes {
 public:
  /// The machine outlives it.
  TransferTimes(const Machine& machine, double crowding) : machine_(machine), crowding_(crowding) {}

  [[nodiscard]] const Machine& machine() const { return machine_; }

  /// As those of the machine.
  [[nodiscard]] MessageTime message(int from, int to, kernels::Bytes) const;
  [[nodiscard]] MessageTime message_on(std::size_t level, kernels::Bytes) const;
  [[nodiscard]] WindowTime window(kernels::Bytes staged, kernels::Bytes loaded, kernels::Bytes stored,
                                  int part) const;
  [[nodiscard]] Picoseconds combine(kernels::Bytes, int part) const;
  /// One of `overheads`.
  [[nodiscard]] Picoseconds overhead(double seconds) const { return of_core(picoseconds(seconds)); }

 private:
  [[nodiscard]] Picoseconds of_core(Picoseconds alone) const { return crowded(alone, crowding_); }
  [[nodiscard]] Picoseconds turn() const;

  const Machine& machine_;
  double crowding_;
};

}  // namespace partita::machine
