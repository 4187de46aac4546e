/// A program bound to a batch size: memory of every slot, operators and what they work on, planned transfers
/// and copies.
#pragma once

#include <array>

#include "partita/execute/executor.hpp"

namespace partita::execute {

constexpr bool communicates(const step::Instruction& instruction) {
  return instruction.kind == step::Kind::start || instruction.kind == step::Kind::wait;
}

/// All of one view to another of as many elements, or added to it.
inline void copy_elements(kernels::Backend& backend, View from, View to, kernels::Write write) {
  constexpr kernels::StridedBlock contiguous{.strides = {0, 0, 0, 1}};
  backend.copy_block({1, 1, 1, from.size().value()}, contiguous, from, contiguous, to, write);
}

class Executor::Bound {
 public:
  /// Collective over the axes of the program.
  Bound(Executor&, std::int64_t batch);

  [[nodiscard]] View slot(std::optional<step::SlotId> slot) const { return slot ? slots[*slot] : View(); }
  /// What an instruction makes of the gradients of its unit's parameters, by tensor; empty where a tensor is
  /// not trained.
  [[nodiscard]] std::array<View, model::most_parameters> gradients_of(const step::Instruction&) const;
  /// The first sample of what this rank has of a micro-batch, within the batch.
  [[nodiscard]] topology::Range samples(step::MicrobatchId, bool share) const;
  /// A unit on a micro-batch.
  struct BoundUnit {
    nn::Operator* layer = nullptr;  ///< null where no data moves
    nn::Tensors tensors;
  };
  [[nodiscard]] const BoundUnit& unit_of(const step::Instruction& instruction) const {
    return units[*instruction.unit][*instruction.microbatch];
  }

  /// What an instruction works on of it, with the parameters that it reads.
  [[nodiscard]] nn::Tensors tensors_of(const step::Instruction&) const;

  struct Moves {
    std::vector<step::BlockMove> pack, unpack;
  };

  const step::Program& program;
  std::int64_t batch;
  int data_rank;
  base::IdVector<step::SlotId, View> slots;
  base::IdVector<step::SlotId, std::optional<step::LiveRange>> lives;
  base::IdVector<step::UnitId, base::IdVector<step::MicrobatchId, BoundUnit>> units;
  base::IdVector<step::ConversionId, Moves> moves;
  device::Mirrors mirrors;
  base::IdVector<step::TransferId, std::unique_ptr<comm::Collective>>
      transfers;  ///< null on slots of the run
  kernels::Bytes workspace{};

  // Of a device: how often this batch size was run, the events before the instructions, and the graphs that
  // were recorded, by their first instruction and the divisor of the gradients.
  std::int64_t runs = 0;
  std::vector<std::unique_ptr<kernels::Device::Event>> marks;
  std::map<std::pair<std::size_t, std::int64_t>, std::unique_ptr<kernels::Device::Graph>> graphs;

 private:
  void place_slots(Executor&);
  void plan_operators(Executor&);
  void plan_transfers(Executor&);
  nn::Operator* operator_of(Executor&, step::UnitId, step::MicrobatchId);
  nn::Tensors tensors_of(Executor&, step::UnitId, step::MicrobatchId) const;

  std::map<std::pair<step::UnitId, std::int64_t>, std::unique_ptr<nn::Operator>>
      planned_;  ///< by unit and samples
};

}  // namespace partita::execute
