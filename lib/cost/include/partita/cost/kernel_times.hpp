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
/// parts (calls, FLOPs, also of extents padded to whole vectors, bytes of operands, and of those beyond
/// caches) is fitted to the rows: none negative, by relative error. What the rows differ from it is
/// interpolated between the nearest ones, by their extents and by what lies beyond caches; a run that was
/// measured takes what was measured. Kernels that differ in a joined ReLU, an absent bias, running statistics
/// or in whether gradients are added, or in the number of active ranks, speak for each other; where none is
/// like the one in question, its time is extrapolated.
class KernelTimes {
 public:
  /// Takes milliseconds where there are many rows; copies share what it found.
  explicit KernelTimes(const machine::Machine&, Execution = {});

  [[nodiscard]] const Execution& execution() const;

  /// The measured kernel that speaks most for this one; none where neither it nor a relative was measured, on
  /// any shape.
  [[nodiscard]] std::optional<machine::KernelKey> nearest(const machine::KernelKey&) const;

 private:
  friend class ProgramTimes;
  class Table;
  std::shared_ptr<const Table> table_;
};

/// Times of a program's instructions in a batch: what they touch lies where the step left it.
class ProgramTimes {
 public:
  /// The program outlives it.
  ProgramTimes(KernelTimes, const step::Program&, std::int64_t batch);

  /// Of a compute or copy instruction of the program, where its micro-batch has `samples` samples on this
  /// data rank.
  [[nodiscard]] InstructionTime of(const step::Instruction&, std::int64_t samples) const;
  /// The key by which it is looked up.
  [[nodiscard]] machine::KernelKey key_of(const step::Instruction&, std::int64_t samples) const;

 private:
  [[nodiscard]] std::vector<std::int64_t> beyond_of(const step::Instruction&) const;
  std::shared_ptr<const KernelTimes::Table> table_;
  const step::Program* program_;
  std::vector<std::vector<std::int64_t>> beyond_;  ///< by instruction
};

}  // namespace partita::cost
