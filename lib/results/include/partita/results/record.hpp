/// Everything that one run leaves behind, as plain data: what `write_snapshot` stores and `read` gives back.
///
/// Column-wise: all columns of a group have the same length; columns by step and rank are step-major, element
/// (step, rank) at step·ranks + rank. A number that was not measured (no evaluation in this epoch) is NaN.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "partita/collective/traffic.hpp"
#include "partita/kernels/count.hpp"
#include "partita/topology/grid.hpp"

namespace partita::results {

using kernels::Bytes;
using kernels::Elements;

/// Version of the layout of result and model files that this program writes; it reads this one and older
/// ones.
inline constexpr std::int64_t schema_version = 1;

inline constexpr double not_measured = std::numeric_limits<double>::quiet_NaN();

/// `running`: a snapshot of a run that has not ended (or was killed); `invalid`: the run ended, its numbers
/// must not be used (NaN loss, a failed check).
enum class Status { running, complete, aborted, invalid };
std::string_view to_string(Status);

/// Attributes of `/`. `software_version`, `git_commit`, `git_dirty` and `created` are filled by
/// `new_attributes`.
struct Attributes {
  std::int64_t schema = schema_version;  ///< stored as `schema_version`
  std::string software = "partita";
  /// Where times come from: "measured", "virtual" (a run on a virtual clock) or "simulated"; stored where it
  /// is not the first.
  std::string kind = "measured";
  std::string software_version;
  std::string git_commit;  ///< "unknown" when built outside a repository
  bool git_dirty = false;
  std::string created;  ///< ISO 8601, UTC
  std::string command_line;
  std::string config;  ///< the whole configuration as INI text
  std::string config_hash;
  std::uint64_t seed = 0;
  Status status = Status::running;
  std::string status_reason;  ///< why the numbers must not be used; stored where it says something
  std::string dataset, dataset_hash;
  std::string load_model_hash;  ///< content of the model that the run started from; stored where there is one
  // What two runs must share to be compared (model, precision), and to have their bytes compared (the
  // others).
  std::string model;
  std::string precision;
  topology::GridExtent grid;  ///< stored as "data=2 pipeline=1 tensor=1"
  std::string algorithm;      ///< of the gradient all-reduce
  std::int64_t batch = 0;     ///< global
  std::int64_t first_step =
      0;                      ///< of `/steps`; above 0 where another configuration's checkpoint was the start
  std::int64_t restarts = 0;  ///< times that the run went on from a checkpoint of its own

  friend bool operator==(const Attributes&, const Attributes&) = default;
};

/// Attributes with what the library knows itself: version, commit, the time now.
Attributes new_attributes();

struct RankEnvironment {
  std::string host, cpu_model;
  std::int64_t cores = 0;  ///< that the rank computes with
  std::string device = "cpu";
  topology::Coordinate coordinate;
  friend bool operator==(const RankEnvironment&, const RankEnvironment&) = default;
};

/// The entry of an environment that has the hash of the machine whose times these are, where none was
/// measured.
inline constexpr const char* clock_machine_entry = "clock_machine_hash";

/// `/environment`: versions and Slurm variables by name (attributes of the group), and one row per rank.
struct Environment {
  std::map<std::string, std::string> entries;
  std::vector<RankEnvironment> ranks;
  friend bool operator==(const Environment&, const Environment&) = default;
};

/// A row of `/model`.
struct LayerRow {
  std::string name, kind;
  std::string output;  ///< shape per sample, "10x24x24"
  Elements parameters{};
  double flops_per_sample = 0;  ///< of training; a multiply-add counts as two
  std::int64_t stage = 0;
  std::string placement = "replicated";
  friend bool operator==(const LayerRow&, const LayerRow&) = default;
};

enum class Phase { load, forward, backward, update, exposed_transfer, dependency, straggler, other };
inline constexpr std::size_t phase_count = 8;
std::string_view to_string(Phase);

/// Seconds of one rank in one step, indexed by `Phase`.
using PhaseSeconds = std::array<double, phase_count>;

/// One step as all ranks saw it.
struct StepRow {
  double loss = 0;  ///< mean over the global batch
  std::int64_t samples = 0;
  double seconds = 0;  ///< of the slowest rank
  double learning_rate = 0;
  std::optional<double> gradient_norm = {};  ///< before it was clipped, where it is
  /// Of runs with local or asynchronous steps: whether all data ranks had the same parameters behind it.
  std::optional<bool> is_synchronised = {};
  std::span<const PhaseSeconds> phases;  ///< by rank
  std::span<const double> rank_seconds;  ///< by rank
};

/// `/steps`. `phase[p]` and `rank_seconds` are [step, rank].
struct Steps {
  std::int64_t ranks = 1;
  std::vector<double> loss, seconds, learning_rate;
  std::vector<double> gradient_norm;       ///< empty where gradients are not clipped
  std::vector<std::int64_t> synchronised;  ///< 0 or 1; empty where all would be 1
  std::vector<std::int64_t> samples;
  std::vector<double> rank_seconds;
  std::array<std::vector<double>, phase_count> phase;

  [[nodiscard]] std::size_t count() const { return seconds.size(); }
  /// The row's spans have `ranks` elements each.
  void append(const StepRow&);
  /// Steps that follow each other until all data ranks have the same parameters; their seconds are those of
  /// the rank that took longest for all of them.
  struct Stretch {
    double seconds = 0;
    std::int64_t steps = 0, samples = 0;
  };
  /// Those of the steps from `first` on; what comes behind the last that ends is left out, unless none does.
  [[nodiscard]] std::vector<Stretch> stretches(std::size_t first) const;
  [[nodiscard]] double at(Phase p, std::size_t step, std::size_t rank) const {
    return phase[static_cast<std::size_t>(p)][step * static_cast<std::size_t>(ranks) + rank];
  }
};

/// A row of `/epochs`.
struct EpochRow {
  std::int64_t epoch = 0;  ///< from 1
  double train_loss = not_measured, test_loss = not_measured;
  double test_accuracy = not_measured;  ///< 0 to 1
  double seconds = 0;                   ///< of training, without evaluation
  double samples_per_second = 0;
  double learning_rate = 0;
};

/// A row of `/memory`: peak bytes of one rank, in order of rank.
struct MemoryRow {
  Bytes parameters{}, gradients{}, optimizer_state{}, activations{}, communication_buffers{};
  Bytes codec_state{};  ///< what is carried from step to step: residuals, bases
  [[nodiscard]] Bytes total() const {
    return parameters + gradients + optimizer_state + activations + communication_buffers + codec_state;
  }
  friend bool operator==(const MemoryRow&, const MemoryRow&) = default;
};

/// A row of `/reductions`: one all-reduce of a training step, in the order of its start. The algorithm is the
/// one in use, whatever was asked for.
struct ReductionRow {
  collective::Purpose purpose = collective::Purpose::gradient;
  Bytes payload{};
  std::string algorithm;
  bool in_window = false;  ///< the buffer lies in the ranks' shared window: nothing is copied in or out
  friend bool operator==(const ReductionRow&, const ReductionRow&) = default;
};

/// A row of `/figures`, also printed as "FOM name=… value=… unit=…".
struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  friend bool operator==(const Figure&, const Figure&) = default;
};

/// A row of `/benchmarks`: one repetition of one benchmark. A program that only measures writes this group
/// and leaves steps, epochs and model empty.
struct BenchmarkRow {
  std::string name;        ///< what was measured: "all_reduce/ring"
  std::string parameters;  ///< "ranks=2 bytes=4096"
  std::string unit;        ///< of value: "s", "GFLOP/s"
  std::int64_t repetition = 0;
  double value = 0;
  friend bool operator==(const BenchmarkRow&, const BenchmarkRow&) = default;
};

/// A row of `/timeline`: what one queue of one rank did from `start_seconds` to `end_seconds`. Seconds count
/// from the start of the first recorded step, on clocks aligned between the ranks.
struct TimelineRow {
  std::int64_t rank = 0, step = 0;
  double start_seconds = 0, end_seconds = 0;
  std::string kind;                          ///< "forward", "backward", "send", "wait", "all_reduce", …
  std::string phase;                         ///< of a backward: "data", "parameters", "activation"; or ""
  std::string layer;                         ///< "conv1", or "" where no single layer is meant
  std::int64_t microbatch = -1, chunk = -1;  ///< -1: none
  std::string queue;                         ///< "compute", "copy", "communication"
  std::string axis, purpose;                 ///< of a communication, or ""
  Bytes bytes{};
  /// Equal on the send of one rank and the receive of another that belong together, unique within the file;
  /// -1: none.
  std::int64_t flow = -1;
  friend bool operator==(const TimelineRow&, const TimelineRow&) = default;
};

/// `/timeline`, which is written only when it has rows.
struct Timeline {
  std::vector<TimelineRow> rows;
  double clock_uncertainty_seconds = 0;  ///< how far apart two ranks' clocks may lie at most
  friend bool operator==(const Timeline&, const Timeline&) = default;
};

/// `/inference`, which is written only when it has batches. Either `prediction` or `output` is filled.
struct Inference {
  std::vector<std::int64_t> prediction;  ///< [sample]: class
  std::int64_t features = 0;
  std::vector<double> output;           ///< [sample, feature]
  std::vector<double> latency_seconds;  ///< [batch], repetition after repetition
  friend bool operator==(const Inference&, const Inference&) = default;
};

/// A row of `/changes`: a key of the configuration that had another value in the steps before `step`, from
/// whose checkpoint the run went on; "-" where it was not set. Written only when there are any.
struct ChangeRow {
  std::int64_t step = 0;
  std::string key, before, after;
  friend bool operator==(const ChangeRow&, const ChangeRow&) = default;
};

/// A row of `/plans`: a split that a search for the best one found good, the best first as it was predicted;
/// one of them is the run's. Written only when there are any.
struct PlanRow {
  std::string plan;  ///< "data=2 pipeline=2 tensor=1, 1f1b, 8 micro-batches"
  double predicted_seconds = 0;
  double measured_seconds = not_measured;  ///< of a step, before the training
  bool chosen = false;
  friend bool operator==(const PlanRow& a, const PlanRow& b) {
    const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
    return a.plan == b.plan && a.predicted_seconds == b.predicted_seconds && a.chosen == b.chosen &&
           same(a.measured_seconds, b.measured_seconds);
  }
};

/// A row of `/replans`: after an epoch whose steps had left their prediction, a search was asked again, on
/// ranks as fast as they had been seen to be. Written only when there are any.
struct ReplanRow {
  std::int64_t step = 0;      ///< the first one of the plan `after`
  std::string before, after;  ///< as in `PlanRow`; the same where no better one was found
  // Of a step: of the plan before as it was expected and as it was measured, and of both on such ranks; at
  // last of the plan after in the next epoch.
  double expected_seconds = not_measured, measured_seconds = not_measured;
  double before_predicted_seconds = not_measured, after_predicted_seconds = not_measured;
  double after_measured_seconds = not_measured;
  friend bool operator==(const ReplanRow&, const ReplanRow&) = default;
};

/// A row of `/pushes`: by what a parameter server has updated in an asynchronous step, of a server in the
/// order of its updates. Written only when there are any.
struct PushRow {
  std::int64_t server = 0, worker = 0;  ///< coordinates on the data axis
  std::int64_t step = 0;                ///< of the worker
  std::int64_t staleness = 0;  ///< the server's updates since the parameters that the worker had begun with
  friend bool operator==(const PushRow&, const PushRow&) = default;
};

/// A row of `/critical_path`: what a predicted step hangs on for so long, the longest first; together the
/// step. Written only when there are any.
struct PathRow {
  std::string resource, layer;
  double seconds = 0;
  friend bool operator==(const PathRow&, const PathRow&) = default;
};

/// A row of `/scaling`: the run on so many ranks, as it is predicted. Written only when there are any.
struct ScaledRow {
  std::int64_t ranks = 1, batch = 0;
  double step_seconds = 0, samples_per_second = 0;
  friend bool operator==(const ScaledRow&, const ScaledRow&) = default;
};

struct RunRecord {
  Attributes attributes;
  Environment environment;
  std::vector<LayerRow> layers;
  Steps steps;
  std::vector<EpochRow> epochs;
  std::vector<ReductionRow> reductions;
  std::vector<collective::TrafficRow> traffic;
  std::vector<collective::PeerRow> peers;
  std::vector<MemoryRow> memory;  ///< by rank
  std::vector<Figure> figures;
  std::vector<BenchmarkRow> benchmarks;
  Timeline timeline;
  Inference inference;
  std::vector<ChangeRow> changes;  ///< in the order of their steps
  std::vector<PlanRow> plans;
  std::vector<ReplanRow> replans;  ///< in the order of their steps
  std::vector<PushRow> pushes;     ///< by server
  std::vector<PathRow> critical_path;
  std::vector<ScaledRow> scaling;  ///< by ranks
};

}  // namespace partita::results
