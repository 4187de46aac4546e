/// Everything that a run, training or inference, can be told, from an INI file and the command line.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/base/key_role.hpp"
#include "partita/collective/algorithm.hpp"
#include "partita/collective/staging.hpp"
#include "partita/data/dataset.hpp"
#include "partita/kernels/optimizer.hpp"
#include "partita/model/parse.hpp"
#include "partita/plan/grid.hpp"
#include "partita/plan/plan.hpp"
#include "partita/topology/grid.hpp"

namespace partita::config {

enum class Backend { reference, cpu, cuda };
/// In which numbers a run computes; tf32 and bf16 round the operands of products, all else stays fp32.
enum class Precision { fp32, fp64, tf32, bf16 };
enum class LearningRateSchedule { constant, step, cosine };
using plan::Strategy;

struct TrainOptions {
  std::int64_t epochs = 1;
  std::optional<std::int64_t> steps;           ///< limits the steps and wins over epochs; 0 only initialises
  std::int64_t batch = 64;                     ///< global
  std::optional<std::int64_t> batch_per_rank;  ///< weak scaling: batch = this × data ranks
  double learning_rate = 0.01;
  LearningRateSchedule schedule = LearningRateSchedule::constant;
  std::int64_t warmup_steps = 0;
  std::int64_t step_epochs = 1;
  double gamma = 0.1;
  kernels::OptimizerSpec optimizer;
  std::uint64_t seed = 1;
  Precision precision = Precision::fp32;
  bool shuffle = true;
  int accumulate = 1;          ///< as many times the micro-batches
  bool deterministic = false;  ///< the same bits on any number of data ranks and stages
  int grains = 8;              ///< of the deterministic mode
  std::optional<double> target_accuracy;

  /// Batches of an epoch on so many samples; the last may have fewer.
  [[nodiscard]] std::int64_t steps_of_epoch(kernels::Samples) const;
  /// Steps of the whole training, if nothing stops it before.
  [[nodiscard]] std::int64_t steps_on(kernels::Samples) const;
};

struct PipelineOptions {
  step::Schedule schedule = step::Schedule::one_f_one_b;
  std::optional<int>
      microbatches;  ///< default: 1 on one stage, else 4 a stage, as far as a share of the batch goes
  int chunks = 1, warmup = 1;
};

struct TimelineOptions {
  std::int64_t first = 5, steps = 0;
};

/// Of splits that a search finds.
struct AutomaticOptions {
  int candidates = 3;  ///< plans that are tried, the best by the model
  /// Rounds in which they are tried; 0: predictions decide. Default: up to 3 in 1 % of the steps, at least 1.
  std::optional<int> measure;
  bool replan = false;            ///< after epochs whose steps leave their prediction
  double replan_threshold = 0.5;  ///< by more than this share of it
};

/// Of partita-infer.
struct InferOptions {
  std::optional<std::int64_t> samples;  ///< the first ones of the test set; default: all
  std::optional<std::int64_t> batch;    ///< global; default: 256 a data rank
  std::int64_t repetitions = 1;         ///< passes over the samples
  std::int64_t warmup = 2;              ///< batches that are not timed
};

/// Of partita-train.
struct CheckpointOptions {
  std::filesystem::path dir;  ///< empty: beside the output
  std::int64_t every = 0;     ///< steps; 0: not by steps
  double seconds = 0;         ///< 0: not by time
  int keep = 2;
};

/// Whether what a codec does not say is added to the next gradients: unless it is asked for or forbidden, by
/// codecs of 8 bits and less.
enum class ErrorFeedback { automatic, on, off };

struct SyncOptions {
  step::Split split = step::Split::none;
  step::Gather gather = step::Gather::use;
  step::Compression compression;  ///< `residuals` as `error_feedback` says
  ErrorFeedback error_feedback = ErrorFeedback::automatic;
  bool secure = false;  ///< sums in which no rank learns another's gradients; of `compression` then the bits
  int delay = 0;        ///< steps
  std::optional<std::int64_t> local_period;  ///< none: no local steps
  step::LocalSteps local;                    ///< but for `period`, and what follows from the optimizer
  collective::Algorithm algorithm = collective::Algorithm::automatic;
  std::filesystem::path table;  ///< what `automatic` stands for; empty: the shipped table
  kernels::Bytes bucket_bytes{1 << 20};
  int ranks_per_node = 0;  ///< imitated nodes; 0: the real ones
  /// How messages leave the memory of devices.
  collective::DeviceMessages device_messages = collective::DeviceMessages::automatic;
};

/// Of the data axis.
struct ServerOptions {
  int count = 0;  ///< the last ranks; 0: none
  bool is_asynchronous = false;
  std::optional<std::int64_t> bound;  ///< of asynchronous ones, steps; none: without
  std::int64_t synchronous_steps = 0;
  std::filesystem::path replay;  ///< a result whose order of pushes is taken
};

struct RunOptions {
  Strategy strategy = Strategy::none;
  std::filesystem::path machine;  ///< that placements and partitions are chosen for; empty: the shipped one
  std::string machine_hash;       ///< of the content of `machine`, once it was read
  std::filesystem::path virtual_clock;  ///< the machine whose costs alone take time; empty: this host's time
  std::string virtual_clock_hash;       ///< of the content of `virtual_clock`, once it was read
  std::optional<int> data_ranks;        ///< by default what the other axes leave of the world
  topology::GridExtent grid;
  std::vector<double> weights;    ///< of data ranks; none: all alike
  bool measures_weights = false;  ///< after each epoch, from equal ones on
  model::ModelText model_text;
  model::ModelSpec model;
  model::Initializer init = model::Initializer::torch;
  PipelineOptions pipeline;
  AutomaticOptions automatic;
  TrainOptions train;
  std::int64_t evaluate_every = 1;
  InferOptions infer;
  TimelineOptions timeline;
  double snapshot_seconds = 60;  ///< between snapshots of the result inside an epoch; 0: at epochs only
  CheckpointOptions checkpoint;
  SyncOptions sync;
  ServerOptions server;
  Backend backend = Backend::cpu;
  std::string gemm = "auto";      ///< of the cuda kernels: how matrices are multiplied
  int threads = 0;                ///< 0: the rank's share of the node's cores
  double watchdog_seconds = 300;  ///< that a rank waits for others before the job is ended; 0: for ever
  data::DataOptions data;
  bool mlperf_log = false;  ///< rank 0 prints what happens as MLPerf log lines
  std::filesystem::path output, save_model, load_model;
  std::vector<std::string> load_skip;  ///< layers that are not loaded: names, or patterns with `*`
  std::string load_model_hash;         ///< of the content of `load_model`, once it was read
  std::optional<data::Moments> own_normalisation;  ///< the training set's, once it was read
  std::filesystem::path config_file, model_file;   ///< that the options were read from
  bool overwrite = false, resume = false;
  bool help = false, version = false, print_config = false, dry_run = false;
  std::optional<int> print_program;  ///< of this rank
  std::string help_topic;            ///< behind --help: empty for the keys, or `layers`
};

/// Of data ranks, in whole numbers without a common divisor.
step::Weights weights_of(const RunOptions&);

/// What the run's steps do.
step::Cadence cadence_of(const RunOptions&);
/// Whether all steps are alike, and of all data ranks.
bool has_usual_steps(const RunOptions&);
/// That other steps exclude something.
base::Violation about_cadence(const RunOptions&, const std::string& excluded);
/// Likewise of sync.secure and a search for splits.
base::Violation about_secure(const std::string& excluded);
/// All that excludes a search for splits, by whom it is made: "strategy=auto".
std::vector<base::Violation> against_choice(const RunOptions&, const std::string& who);

/// Reads `--config FILE` and the command line, which wins. Appends every violation: unknown keys (with the
/// nearest known one), keys given twice, numbers out of range, model lines. Keys that were refused keep their
/// defaults, so that the caller can go on looking for violations.
RunOptions parse(int argc, const char* const* argv, std::vector<base::Violation>& violations);

/// The same of a run file's text alone, without command line; a model file that it names is not opened.
RunOptions parse_text(std::string_view run_file, std::vector<base::Violation>& violations);

/// The options as an INI file that `parse` reads back to the same options. A key without effect beside the
/// others is marked (`base::not_used_mark`).
std::string print_config(const RunOptions&);

/// The same text for all options that make the same run: every key by what it means, without marks.
std::string meaning_of(const RunOptions&);

/// SHA-256 of all keys that decide what is trained and how it is split, with the contents of the loaded model
/// and the machine in place of their paths; output paths, threads and switches do not, nor do keys that are
/// not used.
std::string config_hash(const RunOptions&);

/// What a key means where results are compared: a `base::RoleOf`. "model.layer 3" is a layer line.
base::KeyRole role_of(std::string_view key, base::RunKind);

/// Stands for the value of a key that is not given.
inline constexpr std::string_view not_given = "-";

/// A key whose value differs between two runs, as `print_config` writes it, and that one of them uses. A
/// layer's line is "model.layer 3".
struct KeyDifference {
  std::string key, before, after;
  bool changes_past = false;  ///< so that steps that were taken would be others
};
std::vector<KeyDifference> differences(const RunOptions& before, const RunOptions& after);

/// Where a training's checkpoints lie: `checkpoint.dir`, else a folder beside the output, another one for
/// every name (r.checkpoints for r.h5, r.1-checkpoints for r.1); empty without either.
std::filesystem::path checkpoint_dir(const RunOptions&);

/// The keys of `program`, or what the topic behind --help is about.
std::string help_text(const std::string& program, const std::string& topic);

/// Reads `text` as the key `name`, for programs whose options are keys of runs; returns what is wrong with
/// it.
std::string read_key(RunOptions&, std::string_view name, const std::string& text);
/// What the key means, with what it may be.
const std::string& key_meaning(std::string_view name);

/// The keys that a run file may hold.
const std::set<std::string>& run_keys();
/// "unknown key in FILE; did you mean …?", of a run's keys and `others`: what was mistyped, else what is
/// called so elsewhere (`lr`, `batch_size`) or in another section, else the nearest.
std::string unknown_key(const std::string& name, std::vector<std::string_view> others,
                        const std::string& where);

/// Completes the options for a world of `world` ranks (data axis, batch of weak scaling), or says what does
/// not fit.
std::vector<base::Violation> fit_to_world(RunOptions&, int world);

/// What is known of a split before it is made.
struct KnownSplit {
  /// Of another split of the training, on as many data and tensor ranks of the machine: it does not depend on
  /// the pipeline.
  const step::ModelPlacement* placement = nullptr;
  const step::Partition* partition = nullptr;
  std::map<int, double> speed = {};  ///< of ranks that are not as fast as the machine's
};

/// The split of a training's model, with every default filled in; in the deterministic mode one micro-batch a
/// grain. Appends what cannot be split over the grid as asked (stages, chunks, micro-batches, grains);
/// nothing where there is no plan.
std::optional<plan::Split> split_for_training(const RunOptions&, const machine::Machine&,
                                              std::vector<base::Violation>& violations,
                                              const KnownSplit& = {});
/// The same of an inference, of the model with all layers frozen (a deterministic training changes nothing
/// here).
std::optional<plan::Split> split_for_inference(const RunOptions&, const machine::Machine&,
                                               std::vector<base::Violation>& violations);

/// What asks for ranks on one node that are not; `nodes` of the world's ranks, unless nodes are imitated.
std::vector<base::Violation> check_nodes(const RunOptions&, const plan::Split&, std::span<const int> nodes);

/// What of the model does not fit the data: input shape, number of classes, target shape.
std::vector<base::Violation> check_data(const RunOptions&, const data::DataPair&);

/// Whether a batch that a training on so many samples takes leaves a layer that takes statistics
/// (`Layer::statistics`) a micro-batch of one value a channel, which has no deviation.
std::vector<base::Violation> check_statistics(const RunOptions&, kernels::Samples);

/// Whether in a step of such a training fewer than 3 data ranks have samples: from a secure sum of two each
/// learns the other's term, and one of one is that term.
std::vector<base::Violation> check_secure_batches(const RunOptions&, kernels::Samples);

std::string_view to_string(Backend);
std::string_view to_string(Precision);
std::string_view to_string(LearningRateSchedule);

}  // namespace partita::config
