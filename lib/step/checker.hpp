/// One program with micro-batches of one size: what of it cannot be executed. `check.cpp` has what goes for
/// all instructions, `check_passes.cpp` what works on micro-batches, `check_buckets.cpp` what becomes of
/// gradients.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "partita/step/program.hpp"

namespace partita::step {

class Checker {
 public:
  Checker(const Program& program, const model::ModelSpec& model, std::int64_t samples)
      : p_(program), model_(model), samples_(samples) {}

  std::vector<std::string> faults();

 private:
  void require(bool holds, const std::string& what);
  void require_equal(std::int64_t held, std::int64_t needed, const std::string& what);
  [[nodiscard]] bool names_slots(const Instruction&) const;
  [[nodiscard]] std::int64_t held(std::optional<SlotId> slot) const {
    return slot ? p_.elements(p_.slots[*slot], samples_).value() : 0;
  }
  [[nodiscard]] std::int64_t share(bool of_batch) const {
    return of_batch ? topology::share(p_.at.tensor, p_.grid.tensor, samples_).size() : samples_;
  }
  /// Whether a slot of the run lies in the vector of its role.
  [[nodiscard]] bool in_vector(SlotId) const;
  void check(const Instruction&);

  // Of micro-batches.
  void check_load(const Instruction&);
  void check_loss(const Instruction&);
  void check_unit(const Instruction&);
  void check_parameters(const Instruction&, const Unit&);
  /// Whether a slot of parameters, or of gradients, has place for a tensor.
  [[nodiscard]] bool has_room(SlotId, const TensorRange&) const;
  void check_statistics(const Instruction&, const Unit&, const UnitSlots&);
  void check_moves(const Instruction&);
  void check_transfer(const Transfer&);

  // Of buckets.
  void check_combine(const Instruction&);
  void check_sum(const Instruction&);
  void check_answer(const Instruction&, const Bucket&);
  void check_share(const Instruction&);
  void check_average(const Instruction&);
  /// The slot of a bucket's gradients that an update, or a norm, reads: the other buffer where updates are
  /// delayed and the step is an even one.
  [[nodiscard]] SlotId used_gradients(const Instruction&, const Bucket&) const;
  void check_masked(const Instruction&);
  void check_code(const Instruction&);
  void check_pushes(const Instruction&, const Bucket&);
  void check_update(const Instruction&);
  void check_norm(const Instruction&);

  const Program& p_;
  const model::ModelSpec& model_;
  std::int64_t samples_;
  std::size_t at_ = 0;  ///< the instruction that is checked
  std::vector<std::string> found_;
};

}  // namespace partita::step
