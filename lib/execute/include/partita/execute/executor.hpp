/// Runs step programs on one rank: kernels for compute instructions, `comm` for the rest, one span per
/// instruction.
///
/// Communicates on the axes that the program names, nowhere else. Once a batch size is planned and the spans
/// of a step have their size, running allocates nothing.
#pragma once

#include <cmath>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "partita/comm/axes.hpp"
#include "partita/cost/kernel_times.hpp"
#include "partita/data/dataset.hpp"
#include "partita/device/mirrors.hpp"
#include "partita/execute/divergence.hpp"
#include "partita/execute/step_memory.hpp"
#include "partita/nn/operator.hpp"
#include "partita/state/parameters.hpp"
#include "partita/step/memory.hpp"
#include "partita/step/rounds.hpp"

namespace partita::execute {

using kernels::Elements;
using kernels::View;

/// One batch of the whole grid; every rank takes its micro-batches of it.
struct Batch {
  const data::Dataset* dataset = nullptr;
  std::span<const std::int64_t> indices;  ///< of all its samples in the data set
  std::int64_t divisor = 0;               ///< of the gradients: samples of the batch
};

/// The values of step `step` of a run with this seed, which updates these parameters by the gradients of the
/// step that was `delay` before.
[[nodiscard]] inline kernels::StepValues step_values(const state::Parameters& parameters,
                                                     double learning_rate, std::uint64_t seed,
                                                     std::int64_t step, std::int64_t delay = 0) {
  const auto& optimizer = parameters.optimizer();
  const auto t = static_cast<double>(step - delay + 1 - parameters.first_update());
  // The step is mixed into the seed of dropout: a layer has one stream, a step one seed.
  return {.learning_rate = learning_rate,
          .first_correction = 1 - std::pow(optimizer.beta1, t),
          .second_correction = std::sqrt(1 - std::pow(optimizer.beta2, t)),
          .dropout_seed = seed ^ (static_cast<std::uint64_t>(step) * 0x9E3779B97F4A7C15ULL),
          .step = step};
}

/// When a transfer was started and waited for, on this rank's clock.
struct TransferTimes {
  double started = 0, wait_begin = 0, wait_end = 0;
};

/// Seconds of one step on this rank by what the rank did; waiting is in `transfers`, by transfer of the
/// program. Their sum is the step, from `begin` to `end`: spans follow each other without gaps.
struct StepSpans {
  double begin = 0, end = 0;  ///< on this rank's clock
  double load = 0, forward = 0, backward = 0, update = 0, other = 0;
  double encode = 0, decode = 0;  ///< of `other`: codes of gradients
  double progress = 0;            ///< moving transfers on between kernels
  double awaiting = 0;            ///< of an asynchronous server: in its turns, and for the next push
  base::IdVector<step::TransferId, TransferTimes> transfers;
};

/// Begin and end of one instruction, for a timeline; on the job's clock.
struct InstructionTimes {
  double begin = 0, end = 0;
};

/// The network's outputs for some samples of a batch, as the loss reads them; valid during the call that
/// hands them over.
struct BatchOutputs {
  topology::Range samples;    ///< within the batch
  kernels::ConstView values;  ///< [samples, outputs], on the host
};

class ResidentData;
class SecureSums;

class Executor {
 public:
  struct Options {
    std::int64_t largest_batch = 0;  ///< samples of the whole grid; sizes the arena
    /// How messages leave and reach the memory of a device.
    collective::DeviceMessages device_messages = collective::DeviceMessages::automatic;
    /// What a virtual clock takes this rank for, when it asks how long kernels take; how crowded its core is
    /// the clock says.
    cost::Execution execution = {};
    std::string config_hash = {};  ///< of this run; salts the keys of secure sums
    /// Fills slots with NaN once the last instruction that touches them is over, and counts those alive.
    bool poison_released = false;
    /// Does what a compute or copy instruction should do, and is told of every start and wait before it; for
    /// studies of schedules, which let a virtual clock pass as they like. Empty: kernels.
    std::function<void(const step::Instruction&)> instead_of_kernels;
    /// Sees the outputs of every micro-batch just before the loss; for plans with whole outputs only.
    std::function<void(const BatchOutputs&)> on_outputs;
  };
  /// Collective over the axes of the program.
  Executor(const step::Program&, const model::ModelSpec&, kernels::Backend&, comm::Axes&, state::Parameters&,
           Options);
  ~Executor();

  /// Plans all that a batch of this many samples needs, which the first pass over one does otherwise.
  /// Collective over the axes.
  void prepare(std::int64_t batch) { bind(batch); }

  /// One pass over the program's instructions of one kind of steps, on the job's clock: where that is
  /// virtual, instructions take what the machine says. Returns the loss sums: of the whole batch when the
  /// program reduces them, of what this rank has of it otherwise. `values` are of this step; updates and
  /// dropout read them. Collective over the axes when it runs a batch of a new size.
  kernels::LossSums run(const Batch&, const kernels::StepValues& values, StepSpans&,
                        step::StepKind = step::StepKind::synchronous);
  /// Waits for what the last step started for the next one, which finds it done. Collective over the axes.
  void settle();

  /// Of all parameters, before it was clipped, in the last step; nothing where none is.
  [[nodiscard]] std::optional<double> gradient_norm() const {
    return parameters_.optimizer().clip_norm ? std::optional(step_memory_.gradient_norm()) : std::nullopt;
  }

  /// Steps whose gradients were too large for what was sent in their place: they updated nothing, on no rank.
  [[nodiscard]] std::int64_t lost_steps() const { return lost_steps_; }

  /// Of a server, one part of a turn of an asynchronous step. `spans` add up.
  void run_turn(const step::Turn&, const kernels::StepValues&, StepSpans&);
  /// Whether all has come of the push that a server receives from a worker.
  [[nodiscard]] bool has_push(int worker);
  /// It has come: how many seconds the rank waited for that, on a virtual clock.
  double meet_push(int worker);
  /// Until `done`, which ends when that push comes, if not before; how many seconds.
  double wait_for_push(int worker, const std::function<bool()>& done);

  /// From the next step on, the times of every instruction are kept here (until called with null).
  void record_times(std::vector<InstructionTimes>* times) { times_ = times; }

  /// Runs each transfer of a batch of `batch` samples alone a few times: what of this duration a step does
  /// not wait for is hidden. Parameters and states stay as they are. Collective.
  void calibrate(std::int64_t batch);

  /// The step, from 0, in which this rank met a gradient or parameter that is not finite and stopped
  /// updating; the loss of the next step is NaN on all ranks then.
  [[nodiscard]] std::optional<std::int64_t> non_finite_step() const { return non_finite_step_; }
  /// Runs the batch without updates and gives the first result of this rank's that is not finite. Collective
  /// over the axes.
  std::optional<Finding> find_divergence(const Batch&, const kernels::StepValues&);

  /// The most bytes of slots that were alive at once, when released slots are poisoned.
  [[nodiscard]] kernels::Bytes peak_live_bytes() const { return peak_live_; }
  [[nodiscard]] kernels::Bytes activation_bytes() const { return activation_bytes_; }
  /// With what outer steps need.
  [[nodiscard]] kernels::Bytes optimizer_state_bytes() const;
  [[nodiscard]] kernels::Bytes communication_bytes() const;
  /// How messages leave and reach the device's memory; empty for a host or a single rank.
  [[nodiscard]] std::string device_messages() const { return links_.describe(program_.all_reduces.named()); }
  /// The transfers on slots of the run, which no batch size changes, in program order.
  [[nodiscard]] std::vector<const comm::Collective*> reductions() const;

 private:
  class Bound;
  class Coder;
  Bound& bind(std::int64_t batch);
  void grow_workspace(kernels::Bytes);
  /// Of a slot of the run.
  [[nodiscard]] View memory_of(const step::Slot&) const;
  /// The transfer between `view` and `target` (empty: in place) as the program resolves it for the batch.
  /// Collective over its axis unless it is a message.
  std::unique_ptr<comm::Collective> plan(const step::Transfer&, std::int64_t batch, device::Mirrors&,
                                         View view, View target);
  /// The instructions in order, each done when the next begins.
  void walk(Bound&, const Batch&, step::StepKind, double begin, StepSpans&);
  /// One of them; when it is done.
  double carry_out(std::size_t number, Bound&, const Batch&, double begin, StepSpans&);
  /// Calls act(receive) for all that a server's turn begins with.
  template <class Act>
  void for_each_of_push(int worker, const Act& act);
  /// One of those that has not come; none: all have.
  comm::Collective* missing_of_push(int worker);
  /// The same on a device, to which they are issued.
  void issue(Bound&, const Batch&, double begin, StepSpans&);
  void issue_segment(Bound&, const Batch&, std::size_t first, std::size_t end);
  void issue_one_by_one(Bound&, const Batch&, std::size_t first, std::size_t end);
  /// Whether the device's time before instruction `boundary` is taken.
  [[nodiscard]] bool marks(std::size_t boundary) const;
  void mark(Bound&, std::size_t boundary);
  void read_marks(const Bound&, double issued, StepSpans&);

  /// `messages` by tag and peer.
  void calibrate_servers(Bound&, const std::map<std::pair<int, int>, step::TransferId>& messages);
  [[nodiscard]] bool reduces_what_stays(const step::Transfer&) const;
  void start(Bound&, step::TransferId);
  void wait(Bound&, step::TransferId);
  void let_pass(const step::Instruction&, const Bound&);
  void do_compute(const step::Instruction&, Bound&, const Batch&);
  void compute(const step::Instruction&, Bound&, const Batch&);
  void forward(const step::Instruction&, Bound&);
  void backward(const step::Instruction&, Bound&);
  /// Adds to this rank's sums of squares, or makes of those of all ranks what clips.
  void norm(const step::Instruction&, Bound&);
  void sum(const step::Instruction&, Bound&);
  void share(const step::Instruction&, Bound&);
  void average(const step::Instruction&, Bound&);
  void encode(const step::Instruction&, Bound&);
  void decode(const step::Instruction&, Bound&);
  void adapt_loss_scale(Bound&);
  void decode_what_waits(Bound&);
  [[nodiscard]] bool is_lost(const Bound&) const;
  [[nodiscard]] std::int64_t offset_of(const step::Bucket&) const;
  [[nodiscard]] View parameters_of(const step::Bucket&, topology::Range part, Bound&) const;
  void update(const step::Instruction&, Bound&);
  /// By the norms of a bucket's tensors: takes them, or uses them for what this rank updates.
  void take_norms(const step::Bucket&, View gradients, Bound&);
  void update_by_norms(const step::Bucket&, topology::Range own, Bound&, const kernels::Update& whole);
  void combine(const step::Instruction&, Bound&);
  /// After an instruction: is what it wrote finite?
  void inspect(const step::Instruction&, Bound&);
  void note(Quantity, int layer, kernels::ConstView);
  [[nodiscard]] bool output_is_finite(const step::Instruction&, Bound&, const nn::StepPosition&);
  [[nodiscard]] nn::StepPosition position_in(const Bound&, const step::Instruction&) const;
  void load(const step::Instruction&, Bound&, const Batch&);
  void loss(const step::Instruction&, Bound&, const Batch&);
  void add_losses();
  void move(const step::Instruction&, Bound&);
  comm::Collective& transfer(Bound&, step::TransferId);
  const ResidentData& resident(const data::Dataset&);
  /// A copy of a view on the host, once all that was issued is done; until the next call.
  kernels::ConstView on_host(kernels::ConstView);
  void poison(std::size_t instruction, const Bound&);
  void fill_with_nan(View slot);
  void keep_time(const step::Instruction&, double begin, double end, StepSpans&);

  const step::Program& program_;
  const model::ModelSpec& model_;
  kernels::Backend& backend_;
  kernels::Device& device_;
  comm::Axes& axes_;
  comm::VirtualClock* clock_;                                 ///< null: the host's time
  std::optional<cost::KernelTimes> kernel_times_;             ///< of the clock's machine, on this rank
  std::map<std::int64_t, cost::ProgramTimes> program_times_;  ///< by batch
  state::Parameters& parameters_;
  Options options_;
  StepMemory step_memory_;
  std::unique_ptr<kernels::Device::Event> done_;
  const step::Instruction* last_loss_ = nullptr;
  kernels::Bytes activation_bytes_{}, live_{}, peak_live_{};
  memory::DeviceBuffer activations_, workspace_, no_bias_, messages_;
  base::IdVector<step::SlotId, char> is_sent_;  ///< codes of gradients, in this launch
  std::unique_ptr<SecureSums> secure_sums_;     ///< null where sums are in the open
  std::int64_t lost_steps_ = 0;
  std::list<memory::DeviceBuffer> more_activations_;  ///< of batches that need more than the arena
  memory::PinnedBuffer nan_, image_;
  std::map<const data::Dataset*, std::unique_ptr<ResidentData>> resident_;
  device::DeviceLinks
      links_;  ///< behind all memory that other ranks reach, which is released when it has ended
  step::Site site_;
  device::Mirrors mirrors_;
  std::map<std::int64_t, std::unique_ptr<Bound>> bound_;  ///< by samples of the batch
  base::IdVector<step::TransferId, std::unique_ptr<comm::Collective>>
      transfers_of_run_;  ///< null on slots of a step
  std::vector<InstructionTimes>* times_ = nullptr;
  comm::Position position_;
  std::vector<std::uint64_t> positions_;  ///< by instruction
  std::optional<std::int64_t> non_finite_step_;
  bool inspects_ = false;
  std::optional<Finding> finding_;
  /// What was started and has not been waited for, be it by this step or the one before; and how many.
  base::IdVector<step::TransferId, char> under_way_;
  int count_under_way_ = 0;
};

}  // namespace partita::execute
