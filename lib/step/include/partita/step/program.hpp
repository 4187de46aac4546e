/// The step program: what one rank does in one step, as plain data. The executor runs it, the traffic formula
/// adds up its bytes, a simulator can cost it, a timeline names its spans; no second description of a step
/// exists.
///
/// A program belongs to a role, not to a rank, and knows no batch size: slots are sized per sample, counts
/// are bound when a share of a batch is known.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partita/collective/traffic.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/model/model.hpp"

namespace partita::step {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;

enum class Kind {
  load,        ///< the rank's share of the batch into the input and label slots
  forward,     ///< one unit
  loss,        ///< loss sums of the share and, when training, the gradient of the last activation
  backward,    ///< one phase of one unit
  all_reduce,  ///< starts a reduction; it runs while later instructions compute
  wait,        ///< until the named reduction is complete
  update       ///< the optimizer on the parameters of one bucket
};

enum class Queue { compute, copy, communication };

/// Which gradient a backward instruction computes. `activation` masks the gradient of a unit's output in
/// place by the unit's own ReLU.
enum class Phase { none, activation, parameters, data };

std::string_view to_string(Kind);
std::string_view to_string(Queue);
std::string_view to_string(Phase);

/// A layer of the model, with the ReLU that its kernel applies to its result.
struct Unit {
  int layer = 0;
  bool fused_relu = false;
};

/// What a slot holds. Activations and their gradients live within a step; the others outlive it.
enum class SlotRole { activation, gradient, winners, labels, parameters, parameter_gradients, metric };

/// A tensor that instructions read and write: `per_sample` elements for each sample of the share, or `fixed`
/// ones.
struct Slot {
  SlotRole role = SlotRole::activation;
  int unit = -1;  ///< whose output it is; −1 for the network's input
  DataType type = DataType::float32;
  Elements per_sample{};
  Elements fixed{};
  [[nodiscard]] Elements elements(std::int64_t samples) const { return per_sample * samples + fixed; }
  [[nodiscard]] bool transient() const {
    return role != SlotRole::parameters && role != SlotRole::parameter_gradients && role != SlotRole::metric;
  }
};

/// A contiguous part of the flat parameter vector whose gradients are reduced and updated together.
struct Bucket {
  Elements first{};
  Elements count{};
};

/// A reduction that the program starts and waits for.
struct Reduction {
  topology::Axis axis = topology::Axis::data;
  collective::Purpose purpose = collective::Purpose::gradient;
  int slot = -1;
  Elements first{};  ///< within the slot
  Elements count{};
};

struct Instruction {
  Kind kind = Kind::load;
  Queue queue = Queue::compute;
  Phase phase = Phase::none;
  int unit = -1;                   ///< of forward and backward
  int bucket = -1;                 ///< of update
  int reduction = -1;              ///< of all_reduce and wait
  std::vector<int> reads, writes;  ///< slots
};

/// Where the parameters of a unit lie in the flat parameter vector: weight, then bias. Those of trained
/// layers come first; gradients and velocities exist for them only.
struct ParameterRange {
  bool trained = false;
  Elements weight_first{}, weight_count{};
  Elements bias_first{}, bias_count{};
};

struct Program {
  DataType type = DataType::float32;
  bool training = false;
  std::vector<Unit> units;
  std::vector<int> input_slot, output_slot;  ///< of each unit; equal when the unit moves no data
  std::vector<int> gradient_slot;            ///< of each unit's output; −1 where none is needed
  std::vector<int> winners_slot;             ///< of each maximum pooling; −1 elsewhere
  int labels_slot = -1, metric_slot = -1, parameter_slot = -1, parameter_gradient_slot = -1;
  std::vector<Slot> slots;
  std::vector<ParameterRange> parameters;  ///< of each unit; empty ranges where it has none
  Elements parameter_count{};
  Elements trained_count{};  ///< of the trained layers
  std::vector<Bucket> buckets;
  std::vector<Reduction> reductions;
  std::vector<Instruction> instructions;
};

/// One line an instruction, for people: "  12 backward parameters  conv2  reads … writes …".
std::string to_string(const Program&, const model::ModelSpec&);

}  // namespace partita::step
