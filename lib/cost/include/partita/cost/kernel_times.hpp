/// How long an instruction takes on a machine, and how that is known.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "partita/cost/kernel.hpp"
#include "partita/machine/machine.hpp"

namespace partita::cost {

/// From the surest to the least sure.
enum class Basis {
  measured,      ///< this kernel on this shape
  interpolated,  ///< this kernel on other shapes, between which this one lies
  extrapolated,  ///< this kernel or its nearest relative on other shapes, or with other ranks active
  modelled       ///< by FLOPs, bytes and calls alone (`picoseconds_of`)
};
std::string_view to_string(Basis);

struct InstructionTime {
  machine::Picoseconds time = 0;
  Basis basis = Basis::modelled;
  friend bool operator==(const InstructionTime&, const InstructionTime&) = default;
};

/// The kernels that a machine was measured with, ready to be asked.
///
/// Of each kernel (implementation, kernel, phase, type, layout, threads) a sum of at most eight physical
/// parts (calls, FLOPs, also of extents padded to whole vectors, bytes of each operand) is fitted to the
/// rows: none negative, by relative error. What the rows differ from it is interpolated between the nearest
/// ones in the logarithms of their extents, so that each row is met. Where the machine measured no such
/// kernel, but one that differs in a joined ReLU, an absent bias or in whether gradients are added, that one
/// stands for it; it is extrapolated then.
///
/// As many active ranks as were measured, or the nearest number: extrapolated if none were as many and none
/// were more.
class KernelTimes {
 public:
  /// Takes milliseconds where there are many rows; copies share what it found.
  explicit KernelTimes(const machine::Machine&, Execution = {});

  /// Of a compute or copy instruction, where its micro-batch has `samples` samples on this data rank.
  [[nodiscard]] InstructionTime of(const step::Program&, const step::Instruction&,
                                   std::int64_t samples) const;

  /// The measured kernel that speaks most for this one; none where neither it nor a relative was measured, on
  /// any shape.
  [[nodiscard]] std::optional<machine::KernelKey> nearest(const machine::KernelKey&) const;

 private:
  class Table;
  std::shared_ptr<const Table> table_;
};

}  // namespace partita::cost
