/// A program while it is put together: what its role is, and the slots and transfers that it has so far.
#pragma once

#include <map>
#include <optional>

#include "lower.hpp"

namespace partita::step {

/// A part of a pass over a unit or the loss, with what ranks tell each other before the next part begins.
struct Part {
  Phase phase = Phase::none;
  std::vector<SlotId> reads, writes;
  std::optional<Transfer> exchange = {};
};

class Assembly {
 public:
  Assembly(const model::ModelSpec&, const Plan&, const topology::Coordinate& at, const TensorFormat&,
           bool training);

  // The role. Chunks are its own; global ones are the model's.
  [[nodiscard]] int stages() const { return plan.grid.pipeline; }
  [[nodiscard]] int global_chunk(ChunkId chunk) const {
    return chunk.value() * stages() + program.at.pipeline;
  }
  [[nodiscard]] int chunks_of_model() const { return stages() * program.chunks; }
  [[nodiscard]] bool is_first(ChunkId chunk) const { return global_chunk(chunk) == 0; }
  [[nodiscard]] bool is_last(ChunkId chunk) const { return global_chunk(chunk) == chunks_of_model() - 1; }
  [[nodiscard]] bool is_last(MicrobatchId j) const { return j == MicrobatchId(program.microbatches - 1); }
  [[nodiscard]] bool holds_loss() const { return is_last(ChunkId(program.chunks - 1)); }
  [[nodiscard]] int first_layer(ChunkId chunk) const {
    return plan.partition[static_cast<std::size_t>(global_chunk(chunk))];
  }
  [[nodiscard]] int end_layer(ChunkId chunk) const {
    return plan.partition[static_cast<std::size_t>(global_chunk(chunk)) + 1];
  }
  [[nodiscard]] bool has_backward(ChunkId chunk) const {
    return program.training && end_layer(chunk) > lowest;
  }
  [[nodiscard]] bool sends_gradient(ChunkId chunk) const {
    return !is_first(chunk) && program.training && first_layer(chunk) > lowest;
  }
  [[nodiscard]] const Unit& unit(UnitId u) const { return program.units[u]; }
  /// The layer of a unit as the model has it.
  [[nodiscard]] const model::Layer& whole(UnitId u) const {
    return model.layers[static_cast<std::size_t>(unit(u).layer)];
  }
  /// Of a chunk, in order.
  [[nodiscard]] base::IdRange<UnitId> units(ChunkId chunk) const {
    return {first_unit(chunk), last_unit(chunk) + 1};
  }
  [[nodiscard]] UnitId first_unit(ChunkId chunk) const {
    return chunk == ChunkId() ? UnitId() : last_unit(chunk - 1) + 1;
  }
  [[nodiscard]] UnitId last_unit(ChunkId chunk) const { return last_unit_[chunk]; }
  [[nodiscard]] UnitSlots& slots(UnitId u, MicrobatchId j) { return program.tensors[u][j]; }
  /// Those that hold the tensors of a unit.
  [[nodiscard]] std::vector<SlotId> parameter_slots(UnitId u) const;
  [[nodiscard]] kernels::Shape output_shape() const { return model.layers.back().output; }
  /// What the producer of a chunk's input delivers; the network's input is loaded as its reader wants it.
  [[nodiscard]] Pair delivered(ChunkId chunk) const;

  SlotId add_slot(const Slot& slot) { return program.slots.push_back(slot); }
  /// Its elements are those of its slot.
  TransferId add_transfer(Transfer transfer) {
    transfer.type = program.slots[transfer.slot].type;
    return program.transfers.push_back(transfer);
  }
  void add(Instruction instruction) {
    instruction.in = in_;
    program.instructions.push_back(std::move(instruction));
  }
  /// What is added while it lives is in steps of these kinds, as far as what is added around it is.
  class Only {
   public:
    Only(Assembly& assembly, StepKinds kinds) : a_(assembly), before_(a_.in_) { a_.in_ = before_ & kinds; }
    /// The same, whatever is added around it.
    enum class Reach { exactly };
    Only(Assembly& assembly, StepKinds kinds, Reach) : a_(assembly), before_(a_.in_) { a_.in_ = kinds; }
    ~Only() { a_.in_ = before_; }
    Only(const Only&) = delete;
    Only& operator=(const Only&) = delete;

   private:
    Assembly& a_;
    StepKinds before_;
  };
  /// Parts of one pass, one after the other; `common` says of what.
  void add_parts(const Instruction& common, std::vector<Part>);
  void start(TransferId);
  void wait(TransferId);

  const model::ModelSpec& model;
  const Plan& plan;
  Program program;
  int lowest;  ///< trained layer
  std::map<std::pair<ChunkId, MicrobatchId>, SlotId> received_value, sent_gradient;

 private:
  base::IdVector<ChunkId, UnitId> last_unit_;
  StepKinds in_;
};

/// Gives every parameter its place: in the order in which the last micro-batch of a training step finishes
/// its gradient (for evaluation too: it works on the same vector), so that a bucket is one contiguous range.
/// Untrained ones come last. Makes the buckets, and all slots of parameters and their gradients.
void lay_out_parameters(Assembly&);

/// Parts the trained units, given in the order in which their gradients are complete, into buckets with their
/// slots. A bucket is closed before a unit that is reduced over other axes, and after one that makes it large
/// enough or is the last. Sizes are even shares, not this rank's, so that all tensor coordinates close the
/// same buckets; those of a rank without a share of their layers are empty.
void make_buckets(Assembly&, const std::vector<UnitId>& trained_units);

/// Gives every other tensor of every micro-batch, and the metric, a slot.
void make_slots(Assembly&);

}  // namespace partita::step
