/// A program while it is put together: what its role is, and the slots and transfers that it has so far.
#pragma once

#include <map>
#include <optional>

#include "lower.hpp"

namespace partita::step {

/// A part of a pass over a unit or the loss, with what ranks tell each other before the next part begins.
struct Part {
  Phase phase = Phase::none;
  std::vector<int> reads, writes;
  std::optional<Transfer> exchange = {};
};

class Assembly {
 public:
  Assembly(const model::ModelSpec&, const Plan&, const topology::Coordinate& at, const TensorFormat&,
           bool training);

  // The role. Chunks are its own; global ones are the model's.
  [[nodiscard]] int stages() const { return plan.grid.pipeline; }
  [[nodiscard]] int global_chunk(int chunk) const { return chunk * stages() + program.at.pipeline; }
  [[nodiscard]] int chunks_of_model() const { return stages() * program.chunks; }
  [[nodiscard]] bool is_first(int chunk) const { return global_chunk(chunk) == 0; }
  [[nodiscard]] bool is_last(int chunk) const { return global_chunk(chunk) == chunks_of_model() - 1; }
  [[nodiscard]] bool holds_loss() const { return is_last(program.chunks - 1); }
  [[nodiscard]] int first_layer(int chunk) const {
    return plan.partition[static_cast<std::size_t>(global_chunk(chunk))];
  }
  [[nodiscard]] int end_layer(int chunk) const {
    return plan.partition[static_cast<std::size_t>(global_chunk(chunk)) + 1];
  }
  [[nodiscard]] bool has_backward(int chunk) const { return program.training && end_layer(chunk) > lowest; }
  [[nodiscard]] bool sends_gradient(int chunk) const {
    return !is_first(chunk) && program.training && first_layer(chunk) > lowest;
  }
  [[nodiscard]] const Unit& unit(int u) const { return program.units[static_cast<std::size_t>(u)]; }
  /// The layer of a unit as the model has it.
  [[nodiscard]] const model::Layer& whole(int u) const {
    return model.layers[static_cast<std::size_t>(unit(u).layer)];
  }
  [[nodiscard]] int first_unit(int chunk) const { return chunk_begin_[static_cast<std::size_t>(chunk)]; }
  [[nodiscard]] int end_unit(int chunk) const { return chunk_begin_[static_cast<std::size_t>(chunk) + 1]; }
  [[nodiscard]] UnitSlots& slots(int u, int j) {
    return program.tensors[static_cast<std::size_t>(u * program.microbatches + j)];
  }
  /// Those that hold the tensors of a unit.
  [[nodiscard]] std::vector<int> parameter_slots(int u) const;
  [[nodiscard]] kernels::Shape output_shape() const { return model.layers.back().output; }
  /// What the producer of a chunk's input delivers; the network's input is loaded as its reader wants it.
  [[nodiscard]] Pair delivered(int chunk) const;

  int add_slot(Slot slot) {
    program.slots.push_back(slot);
    return static_cast<int>(program.slots.size()) - 1;
  }
  /// Its elements are those of its slot.
  int add_transfer(Transfer transfer) {
    transfer.type = program.slots[static_cast<std::size_t>(transfer.slot)].type;
    program.transfers.push_back(transfer);
    return static_cast<int>(program.transfers.size()) - 1;
  }
  void add(Instruction instruction) { program.instructions.push_back(std::move(instruction)); }
  /// Parts of one pass, one after the other; `common` says of what.
  void add_parts(const Instruction& common, std::vector<Part>);
  void start(int transfer);
  void wait(int transfer);

  const model::ModelSpec& model;
  const Plan& plan;
  Program program;
  int lowest;                                                        ///< trained layer
  std::map<std::pair<int, int>, int> received_value, sent_gradient;  ///< slot by (chunk, micro-batch)

 private:
  std::vector<int> chunk_begin_;  ///< first unit of each chunk, then their number
};

/// Gives every parameter its place: in the order in which the last micro-batch of a training step finishes
/// its gradient (for evaluation too: it works on the same vector), so that a bucket is one contiguous range.
/// Untrained ones come last. Makes the buckets, and all slots of parameters and their gradients.
void lay_out_parameters(Assembly&);

/// Parts the trained units, given in the order in which their gradients are complete, into buckets with their
/// slots. A bucket is closed before a unit that is reduced over other axes, and after one that makes it large
/// enough or is the last. Sizes are even shares, not this rank's, so that all tensor coordinates close the
/// same buckets; those of a rank without a share of their layers are empty.
void make_buckets(Assembly&, const std::vector<int>& trained_units);

/// Gives every other tensor of every micro-batch, and the metric, a slot.
void make_slots(Assembly&);

}  // namespace partita::step
