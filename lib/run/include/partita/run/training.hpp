/// The training loop on one rank of a grid: epochs, steps, evaluation, checkpoints, the stop at a target
/// accuracy or on a signal.
///
/// Every rank runs the same loop and takes its cut of each batch; what depends on data (loss, accuracy, the
/// decision to stop) is reduced over all ranks, so that all of them agree.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "partita/nn/learning_rate.hpp"
#include "partita/run/boundary.hpp"
#include "partita/run/evaluator.hpp"
#include "partita/run/push_log.hpp"
#include "partita/state/checkpointer.hpp"
#include "partita/topology/grid.hpp"

namespace partita::data {
class Sampler;
}

namespace partita::run {

using results::PushRow;

struct TrainingOptions {
  std::int64_t batch = 1;  ///< global
  std::int64_t epochs = 1;
  std::optional<std::int64_t> steps;  ///< limits the steps and wins over epochs; 0 only initialises
  nn::LearningRate learning_rate;     ///< total_steps and step_length in steps
  kernels::OptimizerSpec optimizer;
  std::uint64_t seed = 1;
  std::string config_hash = {};  ///< of this run, see `Executor::Options`
  bool shuffle = true;
  std::optional<double> target_accuracy;                ///< of the test set, 0 to 1
  std::int64_t evaluate_every = 1;                      ///< epochs; 0: never
  std::int64_t timeline_first = 0, timeline_steps = 0;  ///< steps whose instructions are timed
  double snapshot_seconds = 0;  ///< between calls of `on_snapshot` inside an epoch; 0: none
  state::CheckpointOptions checkpoint;
  std::function<bool()> interrupted = {};  ///< whether this rank was asked to stop; asked between steps
  model::Initializer initializer = model::Initializer::torch;
  collective::DeviceMessages device_messages = collective::DeviceMessages::automatic;
  cost::Execution execution = {};    ///< see `Executor::Options`
  bool poison_released = false;      ///< debugging: slots hold NaN once nothing reads them any more
  std::vector<PushRow> replay = {};  ///< by server: in this order asynchronous servers take pushes
};

/// One step as this rank saw it; samples are the whole batch's.
struct StepRow {
  step::StepKind kind = step::StepKind::synchronous;
  bool ends_stretch = true;  ///< all data ranks have the same parameters behind it
  double loss = 0;  ///< mean over the global batch; of a local step over what this data rank has of it
  std::int64_t samples = 0;
  double seconds = 0;
  double learning_rate = 0;
  std::optional<double> gradient_norm;  ///< before it was clipped, where it is
  execute::StepSpans spans;
};

struct EpochRow {
  std::int64_t epoch = 0;  ///< from 1
  double train_loss = 0;
  std::optional<double> test_loss, test_accuracy;
  double seconds = 0;             ///< of the training steps, the slowest rank's
  double samples_per_second = 0;  ///< training samples ÷ seconds
  double learning_rate = 0;       ///< of the last step
};

/// One step of the timeline on this rank.
struct RecordedStep {
  std::int64_t step = 0, batch = 0;
  step::StepKind kind = step::StepKind::synchronous;
  int worker = -1;                                      ///< of an asynchronous server: whose turn
  std::vector<execute::InstructionTimes> instructions;  ///< of the program, in order
};

/// `interrupted`: somebody asked to stop; `left`: the observer asked to go on elsewhere. The state was
/// checkpointed where that is possible.
enum class Outcome { complete, target_reached, diverged, interrupted, left };

/// Samples of a data rank in one evaluation pass; any number gives the same sums up to rounding.
inline constexpr std::int64_t evaluation_batch = 256;

class Training {
 public:
  /// Collective over the world. The model, `world` and the data outlive the training; the plan is of this
  /// model.
  Training(const model::ModelSpec&, const step::Plan&, const TrainingOptions&, kernels::Backend&,
           comm::Communicator& world, const data::DataPair&);
  ~Training();

  /// Called on every rank, at the same step.
  struct Observer {
    std::function<void(std::int64_t)> on_epoch_begin = [](std::int64_t) {};  ///< epochs count from 1
    std::function<void(std::int64_t)> on_evaluation_begin = [](std::int64_t) {
    };  ///< once the epoch's steps are done
    std::function<void(const EpochRow&)> on_epoch = [](const EpochRow&) {
    };                                          ///< after each epoch with its row; may write a snapshot
    std::function<void()> on_snapshot = [] {};  ///< between two steps, when a snapshot is due
    /// After an epoch that others follow: whether another training, of another plan, is to go on from here.
    /// The same on every rank.
    std::function<bool()> leaves = [] { return false; };
    /// When a checkpoint begins: brings the result up to date and gives its image, on rank 0.
    std::function<std::vector<std::byte>()> on_checkpoint = [] { return std::vector<std::byte>{}; };
    std::function<void(const state::CheckpointReport&)> on_report = [](const state::CheckpointReport&) {
    };  ///< rank 0
  };
  Outcome run(const Observer&);

  /// The state that a checkpoint holds, from which `run` goes on; `epochs` are those it had been through.
  /// Throws as the function `restore` does. Local: every rank takes the same checkpoint.
  void restore(const std::filesystem::path& folder, const results::Manifest&, std::vector<EpochRow> epochs);

  /// Drops the spans of all steps taken so far, once somebody has brought them together.
  void release_spans();

  /// Runs every transfer alone, so that the ledger knows what a step hides. Collective over the world.
  void calibrate();

  /// Mean loss and accuracy over the whole test set, each sample once, over any number of ranks.
  Evaluator::Means evaluate();

  /// Why the run diverged: the step and the layer, or the epoch whose evaluation was not finite; the same on
  /// every rank; empty where it did not.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const std::vector<StepRow>& steps() const { return steps_; }
  [[nodiscard]] const std::vector<EpochRow>& epochs() const { return epochs_; }
  [[nodiscard]] const std::vector<RecordedStep>& recorded() const { return recorded_; }
  /// What this rank has taken of workers, where it is an asynchronous server.
  [[nodiscard]] const std::vector<PushRow>& pushes() const { return pushes_; }
  [[nodiscard]] const results::TrainingProgress& progress() const { return progress_; }
  /// Whether the state as it is now has been checkpointed, and the newest step that has (-1: none), once
  /// `run` is over.
  [[nodiscard]] bool is_checkpointed() const { return committed_step_ == progress_.step; }
  [[nodiscard]] std::int64_t committed_step() const { return committed_step_; }
  /// What checkpoints took from this rank's core.
  [[nodiscard]] double checkpoint_seconds() const { return checkpoint_seconds_; }
  [[nodiscard]] std::optional<double> seconds_to_target() const { return seconds_to_target_; }
  [[nodiscard]] const step::Program& program() const { return training_program_; }
  /// The training programs of all ranks; built when they are first asked for.
  [[nodiscard]] const step::Roles& roles() const;
  [[nodiscard]] const state::Parameters& parameters() const { return *parameters_; }
  [[nodiscard]] const execute::Executor& executor() const { return *executor_; }

  /// Whole tensors, in order of the layers. Collective over the world.
  [[nodiscard]] std::vector<state::LogicalTensor> gather_parameters(state::Receivers) const;
  /// Overwrites this rank's part of one tensor.
  void set_parameter(const state::LogicalTensor&);

 private:
  [[nodiscard]] execute::Batch batch_of(std::span<const std::int64_t> samples) const;
  [[nodiscard]] std::int64_t steps_per_epoch() const;
  void one_step(const step::StepPlace&, std::span<const std::int64_t> batch);
  /// Samples of a batch of so many that this data rank takes.
  [[nodiscard]] std::int64_t own_samples(std::int64_t batch) const;
  [[nodiscard]] kernels::StepValues values_of(const step::StepPlace&, step::StepKind) const;
  /// All steps before `end`, on an asynchronous server; `order` of the epoch's samples.
  void serve(std::int64_t end, std::span<const std::int64_t> order);
  /// The samples of a step, within those of its epoch.
  [[nodiscard]] std::span<const std::int64_t> samples_of(std::int64_t step,
                                                         std::span<const std::int64_t> order) const;
  void finish_step(StepRow);
  [[nodiscard]] bool is_recorded(std::int64_t step) const {
    return step >= options_.timeline_first && step < options_.timeline_first + options_.timeline_steps;
  }
  /// Updates by the gradients that the last step left, where updates are delayed.
  void drain();
  /// Adds up what losses data ranks had in local steps. Collective over the world.
  void add_local_losses();
  EpochRow summarize(std::int64_t epoch, bool& finite);
  /// The rest of the epoch; false when somebody asked to stop.
  bool finish_epoch(data::Sampler&, std::int64_t limit, Boundary&, const Observer&);
  std::optional<Outcome> end_epoch(std::int64_t limit, const Observer&);
  bool between_steps(Boundary&, const Observer&);
  void begin_checkpoint(const Observer&);
  void finish_checkpoint();

  const model::ModelSpec& model_;
  TrainingOptions options_;
  kernels::Backend& backend_;
  comm::Communicator& world_;
  const data::DataPair& data_;
  step::Plan plan_;
  comm::Axes axes_;
  step::TensorFormat format_;
  step::Program training_program_;
  mutable std::unique_ptr<step::Roles> roles_;
  std::unique_ptr<state::Parameters> parameters_;
  std::unique_ptr<execute::Executor> executor_;
  std::unique_ptr<Evaluator> evaluator_;
  std::optional<step::StepKind> waiting_;  ///< the kind of the last step, whose gradients no update has used
  bool has_anchors_ = false;               ///< of the local steps under way
  std::int64_t samples_since_ = 0, own_samples_since_ = 0;  ///< parameters were averaged
  double local_loss_sum_ = 0;    ///< of steps of the epoch under way whose loss this data rank alone knows
  std::int64_t quiescence_ = 0;  ///< the end of the asynchronous steps under way
  std::int64_t pushes_to_come_ = 0;  ///< from each worker, when they began
  std::vector<PushRow> pushes_;
  PushLog replay_;  ///< of this rank, where it is a server
  std::vector<StepRow> steps_;
  std::size_t released_ = 0;  ///< steps whose spans are gone
  std::vector<RecordedStep> recorded_;
  std::vector<EpochRow> epochs_;
  results::TrainingProgress progress_;
  std::unique_ptr<state::Checkpointer> checkpointer_;
  std::int64_t checkpointed_step_ = -1;  ///< of the last one begun
  std::int64_t considered_step_ = 0;     ///< for which it was seen last whether a checkpoint is due
  std::int64_t committed_step_ = -1;
  double checkpoint_seconds_ = 0;
  std::optional<double> seconds_to_target_;
  std::string failure_;
  std::span<const std::int64_t> last_batch_;  ///< of the epoch under way
};

}  // namespace partita::run
