/// The step program: what one rank does in one step, as plain data. The executor runs it, the traffic formula
/// adds up its bytes, the simulator costs it, the timeline names its spans; no second description of a step
/// exists.
///
/// A program belongs to a role (stage and tensor coordinate), not to a rank, and knows no batch size: slots
/// are sized per sample of a micro-batch, counts are bound when a batch is known. The skeleton (kinds, order,
/// axes, layers, micro-batches) is the same for all tensor coordinates of a stage.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partita/base/id.hpp"
#include "partita/collective/algorithm.hpp"
#include "partita/collective/rounds.hpp"
#include "partita/collective/traffic.hpp"
#include "partita/kernels/data_type.hpp"
#include "partita/kernels/shape.hpp"
#include "partita/model/model.hpp"
#include "partita/step/cadence.hpp"
#include "partita/step/conversion.hpp"
#include "partita/step/schedule.hpp"
#include "partita/step/split.hpp"

namespace partita::step {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;

using UnitId = base::Id<struct Unit>;
using SlotId = base::Id<struct Slot>;
using BucketId = base::Id<struct Bucket>;
using TransferId = base::Id<struct Transfer>;
using ConversionId = base::Id<struct Conversion>;

enum class Kind {
  load,      ///< a micro-batch's samples or labels
  forward,   ///< one unit
  loss,      ///< loss sums of a micro-batch and, when training, the gradient of the last activation
  backward,  ///< one phase of one unit
  convert,   ///< the local part of a conversion: slices, pads or keeps
  pack,      ///< source of a conversion into its send buffer
  unpack,    ///< receive buffer (and source) of a conversion into its target
  average,   ///< weighs parameters for their sum over data ranks; at last the outer step behind it
  encode,    ///< a bucket's gradients into what is sent in their place; at last the sum of a share of them;
             ///< of secure sums without a bucket the losses
  decode,    ///< adds up what came of this rank's share of a bucket; at last all gradients, of all messages
  combine,   ///< a chunk's gradients of two neighbours in the fixed tree of the deterministic mode
  sum,       ///< adds up what all workers pushed of a server's share of a bucket, in the order of their ranks
  share,  ///< copies this rank's share of a bucket out of its gradients, or into gathered parameters, or an
          ///< answer
  norm,   ///< sums of squares of a bucket's gradients; at last the norm of all, and what clips it
  start,  ///< begins a transfer; it runs while later instructions compute
  wait,   ///< until the named transfer is complete
  update  ///< the optimizer on the parameters of one bucket
};

enum class Queue { compute, copy, communication };

/// Of backward, which gradient: `activation` masks the gradient of a unit's output in place by the unit's own
/// ReLU. Where ranks must tell each other something in the middle of a pass (a class-sharded loss, a layer
/// with statistics): `statistics` of what this rank has, and what follows their exchange, `finish` of a
/// forward pass or of the loss; likewise the norms of each tensor before an update by them, and the norm of
/// all gradients.
enum class Phase { none, activation, parameters, data, statistics, finish };

std::string_view to_string(Kind);
std::string_view to_string(Queue);
std::string_view to_string(Phase);

/// A layer as this role computes it, with the ReLU that its kernel applies to its result.
struct Unit {
  int layer = 0;
  bool fused_relu = false;
  ChunkId chunk;
  Variant variant = Variant::replicated;
  model::Layer local;  ///< the layer with this role's share of its inputs and outputs
  bool idle = false;   ///< the share is empty: nothing is computed, sums are zero
  /// Whether it adds parameters that are not of the inputs (`model::Parameter`): of a row-parallel layer,
  /// which sums over shares of the inputs, the first rank alone does.
  bool adds_bias = true;
  std::int64_t first_channel = 0, first_row = 0;  ///< of the share, within the sample (dropout)
};

/// What a slot holds.
enum class SlotRole {
  input,
  labels,
  activation,
  saved,  ///< for the backward pass, besides inputs and outputs
  gradient,
  message,  ///< packed for a collective
  statistics,
  norm,  ///< or sums of squares
  parameters,
  parameter_gradients,
  optimizer_state,
  anchor,          ///< parameters as they were averaged last
  outer_velocity,  ///< of outer steps
  residual,        ///< what codes did not say of gradients
  basis,           ///< of the next left factors of powersgd
  loss_scale,      ///< what gradients are multiplied by for fp16, and for how many steps none of them was too
                   ///< large
  pushed,          ///< a worker's gradients of a server's share
  pushed_metric,   ///< and the sums of its losses
  answer,          ///< a server's share as a worker gets it
  metric
};
std::string_view to_string(SlotRole);

/// How long a slot keeps its memory.
enum class Lifetime {
  step,  ///< from the first instruction that touches it to the last; then others may have it (`plan_memory`)
  run    ///< whatever batches come; what a step leaves in it, the next one finds
};

/// A tensor that instructions read and write: `per_sample` elements for each sample that this role has of its
/// micro-batch (of the whole micro-batch, or its share on the tensor axis), and `fixed` ones. A message has
/// as many as the pieces of its conversion.
struct Slot {
  SlotRole role = SlotRole::activation;
  std::optional<UnitId> unit = {};  ///< whose output it is; none for the network's input
  std::optional<MicrobatchId> microbatch = {};
  DataType type = DataType::float32;
  Elements per_sample{};
  bool batch_share = false;
  Elements fixed{};
  std::optional<ConversionId> conversion = {};  ///< of a message
  End end = End::send;                          ///< which pieces of the conversion
  Lifetime lifetime = Lifetime::step;
  /// Of parameters and their gradients that live for the run: where it begins in the role's vector of them.
  Elements first{};
  int state = 0;  ///< of the optimizer's states: which
  /// Whether its memory, or the host's image of it, lies in the window that the ranks of the data axis share.
  bool in_window = false;
  /// Of all parameters of a bucket, gathered for one use: the slot of this rank's share of them.
  std::optional<SlotId> gathered_from = {};
};

/// The slots that a unit works on for one micro-batch. x and y are equal when the unit moves no data. `saved`
/// in the order of the layer's description; sums (`Layer::statistics`) of the input, and of its output's
/// gradient.
struct UnitSlots {
  SlotId x, y;
  std::optional<SlotId> dy, dx;
  std::vector<SlotId> saved;
  std::optional<SlotId> statistics, gradient_sums;
};

/// A trained tensor of a bucket.
struct BucketTensor {
  UnitId unit;
  Elements first{}, count{};  ///< within the bucket's slots
  std::int64_t columns = 1;   ///< as a matrix
  /// Whether the other ranks along the tensor axis have the same one; and whether it is this rank's to count.
  bool is_whole = false;
  bool is_own = true;
  bool is_vector = false;  ///< of one extent, as biases are
};

/// What is sent in place of a bucket's gradients, as far as its codec has it.
struct Coding {
  std::optional<SlotId> residual = {};
  std::optional<SlotId> to_owners = {}, from_ranks = {};  ///< bytes: codes of shares, sent and received
  std::optional<SlotId> to_all = {};                      ///< bytes: those that all ranks decode
  std::optional<SlotId> left = {}, right = {}, basis = {};
  std::vector<SlotId> masked = {};  ///< of secure sums, beside each of the gradients that are reduced
  /// Bytes: of a worker what it pushes to each server, of a server what each worker pushes to it.
  std::vector<SlotId> pushes = {};
};

/// Of secure sums: what is added up in place of the losses, and over which axes.
struct SecretLosses {
  SlotId message;
  topology::Axis axis = topology::Axis::none;
};

/// What else than the parameters of a bucket has a part when they are averaged: states of the optimizer that
/// are averaged with them, or begin again; and what outer steps need.
struct Averaging {
  std::vector<SlotId> averaged_states, reset_states;
  std::optional<SlotId> anchor = {}, velocity = {};
};

/// Trained units whose gradients are reduced (over `axis`) and updated together. Their parameters lie in one
/// slot, or a rank's share of them; their gradients in another, in the same order.
struct Bucket {
  topology::Axis axis = topology::Axis::none;
  std::vector<UnitId> units;  ///< in the order in which their gradients are complete
  /// The unit with whose gradients the bucket is known to be complete: its last one, or the first one behind
  /// it, which could not join.
  UnitId closing_unit;
  SlotId parameters;
  /// By level (`Program::gradient_levels`); the first is what is reduced. None outside of training. Of a
  /// server what each worker pushes, by worker; where they push codes one that these are added to.
  std::vector<SlotId> gradients;
  /// Of a server that is asynchronous, what each worker is answered.
  std::vector<SlotId> answers = {};
  /// Where `share` puts this rank's of the reduced ones.
  std::optional<SlotId> kept_gradients = {};
  Elements count{};  ///< of the parameters
  /// Whether its ranks have even shares of it, in their order along the axis, which each of them updates.
  bool is_split = false;
  /// What a rank updates, and has states of: the largest share, which counts for all ranks in memory and
  /// time; all parameters where it is not split.
  Elements share{};
  Elements first_state{};                  ///< of its share, within the role's vectors of states
  std::vector<BucketTensor> tensors = {};  ///< unit by unit
  /// Where updates take norms: two sums of squares of each tensor, of the parameters and of what is to change
  /// them.
  std::optional<SlotId> tensor_squares = {};
  /// The same sums of the share of each rank, one behind the other, which are added in this order whether
  /// there is a split or not; none for one rank, and in the deterministic mode, which knows no shares.
  std::optional<SlotId> share_squares = {};
  std::optional<Coding> coding = {};
  std::optional<Averaging> averaging = {};
};

/// A part of the parameters of a bucket.
struct BucketPart {
  BucketId bucket;
  Elements first{}, count{};  ///< within its slots
};

/// A communication that the program starts and waits for. It moves or reduces whole slots.
struct Transfer {
  collective::Operation operation = collective::Operation::all_reduce;
  topology::Axis axis = topology::Axis::data;
  collective::Purpose purpose = collective::Purpose::gradient;
  std::optional<MicrobatchId> microbatch = {};
  SlotId slot = {};                             ///< what is sent, or reduced in place
  std::optional<SlotId> target = {};            ///< where an all-to-all's messages arrive
  std::optional<ConversionId> conversion = {};  ///< whose pieces are exchanged
  std::optional<BucketId> coded = {};           ///< whose codes are exchanged
  std::optional<int> peer = {};                 ///< of send and receive: coordinate on the axis
  std::optional<int> tag = {};                  ///< of send and receive: (direction, boundary, micro-batch)
  DataType type = DataType::float32;
  collective::Combine combine = collective::Combine::sum;  ///< of a reduction
  /// Of an all-reduce; `automatic` until rank and batch are known, see `resolve`.
  collective::Algorithm algorithm = collective::Algorithm::automatic;
};

/// What a server does for one worker in an asynchronous step, where it decides who is next.
enum class TurnPart {
  receive,  ///< begins to receive a push
  update,   ///< waits for it, and updates by it
  answer,   ///< begins to send the share
  settle    ///< waits until that is sent
};
struct Turn {
  int worker = 0;
  TurnPart part = TurnPart::receive;
  friend bool operator==(const Turn&, const Turn&) = default;
};

struct Instruction {
  Kind kind = Kind::load;
  Queue queue = Queue::compute;
  Phase phase = Phase::none;
  std::optional<UnitId> unit = {};
  std::optional<ChunkId> chunk = {};
  std::optional<MicrobatchId> microbatch = {};
  std::optional<BucketId> bucket = {};
  std::optional<TransferId> transfer = {};
  std::optional<ConversionId> conversion = {};
  StepKinds in = {};  ///< of the steps that it is in
  std::optional<Turn> turn = {};
  bool accumulates = false;  ///< backward parameters: adds to what earlier micro-batches left
  /// Slots. `combine` adds the chunk's part of each that it reads to the one that it writes in its place.
  std::vector<SlotId> reads = {}, writes = {};
};

/// Where a tensor of a unit's parameters lies among all of the role, and which rows and columns of the
/// layer's logical tensor, as a matrix (`model::Parameter`), it is.
struct TensorRange {
  Elements first{}, count{};  ///< of all parameters of the role
  bool trained = false;       ///< by the optimizer, which also has states of it
  SlotId slot = {};           ///< of parameters, in which it lies, or a share of it
  Elements offset{};          ///< where in its bucket, or in the slot of untrained ones
  std::int64_t first_row = 0;
  std::int64_t first_column = 0, columns = 1;
  [[nodiscard]] Elements end() const { return first + count; }
};

/// The parameters of a unit in the order of `Layer::parameters()`. Trained ones lie one behind the other.
struct ParameterRange {
  bool replicated = true;          ///< along the tensor axis
  std::optional<BucketId> bucket;  ///< of the trained ones
  std::vector<TensorRange> tensors;
  /// Of the trained ones.
  [[nodiscard]] Elements first() const { return tensors.empty() ? Elements(0) : tensors.front().first; }
  [[nodiscard]] Elements count() const {
    Elements total{};
    for (const auto& tensor : tensors)
      if (tensor.trained) total += tensor.count;
    return total;
  }
};

struct Program {
  DataType type = DataType::float32;
  kernels::Layout layout = kernels::Layout::nchw;
  bool training = false;
  topology::GridExtent grid;
  topology::Coordinate at;  ///< its data coordinate is of no matter
  int microbatches = 1;
  /// Which cut of a batch comes first: into micro-batches, of which each data rank has a share, as one rank
  /// would take them (where ranks share statistics of a micro-batch), or into the data ranks' shares.
  bool microbatches_first = false;
  /// Where data ranks have weights, of each those of the ranks before it, then all together.
  std::vector<std::int64_t> weights_before;
  int chunks = 1;
  base::IdVector<UnitId, Unit> units;  ///< of the role's chunks, in order
  base::IdVector<UnitId, base::IdVector<MicrobatchId, UnitSlots>> tensors;
  Placement loss_placement;
  base::IdVector<MicrobatchId, SlotId> input_slot, labels_slot, loss_slot, loss_gradient_slot,
      statistics_slot;  ///< empty in roles that have none
  SlotId metric_slot;
  std::optional<SecretLosses> secret_losses = {};
  /// Where a step takes the norm of the gradient: sums of squares, `norm_parts` of each rank of `norm_axes`;
  /// and the norm with the factor that gradients are multiplied by.
  std::optional<SlotId> squares_slot = {}, scale_slot = {};
  /// A rank's sums of squares, of which the first ones of all ranks are added first, and so on: where nothing
  /// is split one for the share of each data rank, so that a split changes no bit; in the deterministic mode
  /// one a layer of the model, so that the order of additions is not that of stages.
  int norm_parts = 1;
  bool norms_by_layer = false;
  SlotId untrained_slot;  ///< of the parameters that no optimizer changes
  base::IdVector<SlotId, Slot> slots;
  base::IdVector<UnitId, ParameterRange> parameters;  ///< of each unit; without tensors where it has none
  Elements parameter_count{};
  Elements held_count{};     ///< of the vector of parameters that lives for the run: all of them, or shares
  Elements trained_count{};  ///< of the trained tensors, which come first
  Split split = Split::none;
  Elements state_count{};          ///< of each state of the optimizer: the shares of all buckets
  Elements gradient_count{};       ///< all slots of gradients, pushes and answers lie in a vector of so many
  int servers = 0;                 ///< on the data axis, behind the workers
  Elements pushed_metric_count{};  ///< of the vector of their slots
  Compression compression;
  Cadence cadence;
  Elements residual_count{}, basis_count{};  ///< of the vectors of their slots
  Elements outer_count{};                    ///< of anchors, and of velocities of outer steps
  std::optional<SlotId> loss_scale_slot = {};
  Bytes message_bytes{};  ///< of messages that steps leave to those behind them
  /// Copies of all gradients. In the deterministic mode every micro-batch is a grain whose gradient is
  /// written alone and then added up in one binary tree, of which a stack holds the open branches. Where
  /// updates are delayed, steps take turns with two. Else 1.
  int gradient_levels = 1;
  base::IdVector<BucketId, Bucket> buckets;  ///< in the order in which they are complete
  base::IdVector<ChunkId, std::vector<BucketPart>> chunk_gradients;  ///< its parts of the buckets in order
  base::IdVector<ConversionId, Conversion> conversions;
  base::IdVector<TransferId, Transfer> transfers;
  collective::Wish all_reduces;  ///< what decides their algorithms, with rank, batch and `Site`
  std::vector<Instruction> instructions;

  [[nodiscard]] base::IdRange<ChunkId> chunk_ids() const { return {ChunkId(), ChunkId(chunks)}; }
  [[nodiscard]] base::IdRange<MicrobatchId> microbatch_ids() const {
    return {MicrobatchId(), MicrobatchId(microbatches)};
  }
  /// Samples of a slot when its micro-batch has `samples`.
  [[nodiscard]] Elements elements(const Slot& slot, std::int64_t samples) const {
    if (slot.conversion)
      return Elements(
          message_elements(conversions[*slot.conversion], slot.end, at.tensor, grid.tensor, samples));
    const auto mine = slot.batch_share ? topology::share(at.tensor, grid.tensor, samples).size() : samples;
    return slot.per_sample * mine + slot.fixed;
  }
  /// The samples of micro-batch j of data rank `data`, within a batch of `batch` samples.
  [[nodiscard]] topology::Range microbatch(MicrobatchId j, int data, std::int64_t batch) const {
    if (weights_before.empty())
      return topology::share(
          microbatches_first ? j.value() * grid.data + data : data * microbatches + j.value(),
          std::int64_t{grid.data} * microbatches, batch);
    const auto rank = static_cast<std::size_t>(data);
    const std::int64_t before = weights_before[rank], behind = weights_before[rank + 1],
                       all = weights_before.back();
    if (microbatches_first)
      return topology::part(j.value() * all + before, j.value() * all + behind, all * microbatches, batch);
    const auto first = before * microbatches + j.value() * (behind - before);
    return topology::part(first, first + behind - before, all * microbatches, batch);
  }
  /// Samples of micro-batch j on all data ranks together, where micro-batches are cut first.
  [[nodiscard]] std::int64_t samples_of_all(MicrobatchId j, std::int64_t batch) const {
    return topology::share(j.value(), microbatches, batch).size();
  }
  /// Samples of micro-batch j on a rank of the grid; 0 for what belongs to no micro-batch.
  [[nodiscard]] std::int64_t samples_of(std::optional<MicrobatchId> j, int rank, std::int64_t batch) const {
    return j ? microbatch(*j, topology::coordinate_of(grid, rank).data, batch).size() : 0;
  }
  /// What a rank of this role, with its data coordinate, has of a bucket's slots when ranks along its axis
  /// share it.
  [[nodiscard]] topology::Range share_of(const Bucket& bucket, int data) const {
    if (servers > 0)
      return data < workers() ? topology::Range{}
                              : topology::share(data - workers(), servers, bucket.count.value());
    const topology::Coordinate rank{.data = data, .pipeline = at.pipeline, .tensor = at.tensor};
    return topology::share(topology::place_along(grid, rank, bucket.axis), grid.along(bucket.axis),
                           bucket.count.value());
  }
  /// What of a bucket's slots it updates.
  [[nodiscard]] topology::Range own(const Bucket& bucket, int data) const {
    return bucket.is_split ? share_of(bucket, data) : topology::Range{0, bucket.count.value()};
  }
  /// Elements that a transfer asks to have moved or reduced, from this rank's point of view.
  [[nodiscard]] Elements payload(const Transfer& transfer, std::int64_t samples) const {
    return elements(slots[transfer.slot], samples);
  }
  /// Of the data axis: those that take samples; and whether this rank is none of them.
  [[nodiscard]] int workers() const { return grid.data - servers; }
  [[nodiscard]] bool serves() const { return servers > 0 && at.data >= workers(); }
  /// Whether this rank has a share of a bucket's parameters only.
  [[nodiscard]] bool holds_share(const Bucket& bucket) const {
    return bucket.is_split && split == Split::parameter;
  }
  /// Whether the step behind the one that starts it waits for a transfer.
  [[nodiscard]] bool is_carried(const Transfer& transfer) const {
    const auto& slot = slots[transfer.slot];
    const bool is_message = slot.role == SlotRole::message && slot.lifetime == Lifetime::run;
    return cadence.is_delayed && (slot.role == SlotRole::parameter_gradients || is_message);
  }
  /// Whether micro-batches are grains.
  [[nodiscard]] bool adds_in_tree() const { return gradient_levels > 1 && !cadence.is_delayed; }
  /// Whether a tensor lies in a slot of parameters.
  [[nodiscard]] bool holds(SlotId slot, const TensorRange& tensor) const {
    return slots[slot].gathered_from.value_or(slot) == tensor.slot;
  }
};

/// "conv1", or "conv1+relu" where the ReLU after it is joined.
std::string name_of(const Unit&, const model::ModelSpec&);

/// One line an instruction, for people: "  12 backward parameters  conv2  mb 3".
std::string to_string(const Program&, const model::ModelSpec&);

}  // namespace partita::step
