/// How long an instruction takes on a machine, and how that is known.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "partita/cost/kernel.hpp"
#include "partita/machine/machine.hpp"
#include "partita/step/alike.hpp"

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

/// How ranks of a part of the machine run programs in a job of so many ranks. Of the active ranks of a node,
/// whatever machine they are, those count that are this one: no more than a node of the job has.
Execution of_part(Execution, const machine::Machine&, int part, std::int64_t ranks);

/// Times of kernels on each part of the machine of which a job of so many ranks has any.
class JobTimes {
 public:
  JobTimes(const machine::Machine&, const Execution&, std::int64_t ranks);
  [[nodiscard]] const KernelTimes& of_part(int part) const { return of_part_.at(part); }
  /// Of all ranks, but for how many of a part are active.
  [[nodiscard]] const Execution& execution() const { return of_part_.begin()->second.execution(); }

 private:
  std::map<int, KernelTimes> of_part_;
};

/// Times of a program's instructions in a batch: what they touch lies where the step left it.
class ProgramTimes {
 public:
  /// The program outlives it.
  ProgramTimes(KernelTimes, const step::Program&, std::int64_t batch);

  /// Of a compute or copy instruction of the program, where its micro-batch has `samples` samples on this
  /// data rank; longer where the rank has something under way meanwhile (`slowdowns_of`), and where its
  /// core is crowded.
  [[nodiscard]] InstructionTime of(const step::Instruction&, std::int64_t samples) const;
  /// The key by which it is looked up.
  [[nodiscard]] machine::KernelKey key_of(const step::Instruction&, std::int64_t samples) const;

 private:
  [[nodiscard]] std::size_t index_of(const step::Instruction& instruction) const {
    return static_cast<std::size_t>(&instruction - program_->instructions.data());
  }
  [[nodiscard]] std::vector<std::int64_t> beyond_of(const step::Instruction&) const;
  std::shared_ptr<const KernelTimes::Table> table_;
  const step::Program* program_;
  std::shared_ptr<const std::vector<std::vector<std::int64_t>>> beyond_;  ///< by instruction
  std::vector<double> slowdowns_;                                         ///< by instruction; empty: all 1
  std::vector<int> alike_;                                                ///< by instruction
  /// What was asked for, by which instructions are alike, samples, and what lies beyond caches.
  mutable std::map<std::tuple<int, std::int64_t, std::vector<std::int64_t>>, InstructionTime> known_;
};

}  // namespace partita::cost
