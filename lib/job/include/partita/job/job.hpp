/// The frame of a program that runs a model on a grid of ranks: input that is refused on all ranks together,
/// the switches that run nothing, the back-end, the last lines.
#pragma once

#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "partita/comm/communicator.hpp"
#include "partita/config/options.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/plan/plan.hpp"
#include "partita/predict/search.hpp"
#include "partita/results/claim.hpp"
#include "partita/results/model_file.hpp"
#include "partita/results/record.hpp"

namespace partita::job {

/// `checkpointed`: stopped on a signal, to be submitted again.
enum ExitCode { success = 0, failed = 1, bad_input = 2, checkpointed = 75 };

/// Data sets by what was asked for: each is loaded once, however many runs read it.
class DataSets {
 public:
  /// Null with everything that is wrong appended to `violations`.
  std::shared_ptr<const data::DataPair> load(const data::DataOptions&,
                                             std::vector<base::Violation>& violations);

 private:
  struct Loaded {
    data::DataOptions options;
    std::shared_ptr<const data::DataPair> data;
    std::vector<base::Violation> violations;
  };
  std::vector<Loaded> loaded_;
};

/// A split that strategy=auto has found.
struct FoundPlan {
  predict::Candidate candidate;
  results::PlanRow row;
};

/// A model as a run was given it, before a plan named stages and placements in its lines.
struct GivenModel {
  model::ModelSpec model;
  model::ModelText text;
};

/// Everything that can be refused, checked on one rank alone.
struct Input {
  config::RunOptions options;
  std::shared_ptr<const data::DataPair> data;
  std::optional<results::ModelFile> start;  ///< what `load-model` names
  std::optional<plan::Split> split;         ///< what the program runs; where it can be split
  collective::AlgorithmTable table = collective::AlgorithmTable::shipped();
  std::vector<results::PushRow> replay;                    ///< the order of pushes that `server.replay` names
  machine::Machine machine = machine::Machine::shipped();  ///< that the split is chosen for
  std::vector<FoundPlan> plans;           ///< of strategy=auto, the best first as they are predicted
  std::optional<GivenModel> given;        ///< of strategy=auto
  double planning_seconds = 0;            ///< that strategy=auto took to find and to try them
  std::optional<machine::Machine> clock;  ///< whose costs alone take time; none: this host's time
  std::vector<base::Violation> violations;
  std::shared_ptr<results::Claims> claims;  ///< on what is written
  bool model_is_known = false;              ///< options and model could be read
  bool grid_fits = false;                   ///< the number of ranks

  /// Whether something is to be run or described, rather than help or configuration printed.
  [[nodiscard]] bool has_work() const { return !options.help && !options.version && !options.print_config; }
  /// The options before a search says how they are split.
  [[nodiscard]] config::RunOptions unsplit() const;
  /// Whether the run writes files.
  [[nodiscard]] bool writes() const { return !options.dry_run && !options.print_program; }
  void append(const std::vector<base::Violation>& more) {
    violations.insert(violations.end(), more.begin(), more.end());
  }
};

/// Whether data are normalised as the options say, or as in the training of the model that is loaded.
enum class Normalised { as_asked, as_trained };

/// Whether this host computes, and must have what the back-end needs, or a machine does that is described.
enum class Kernels { run_here, described };

/// Command line, run file, data, model file and table of algorithms, with what is wrong with each, whatever
/// the program does with them. Where there is no work only the options are read.
Input read_input(int argc, const char* const* argv, int world_size, DataSets&, Normalised,
                 Kernels = Kernels::run_here);

/// A run on its ranks.
struct Job {
  const Input& input;
  comm::MpiEnvironment& environment;
  comm::Communicator& world;
  int ranks_on_host, rank_on_host;
  std::string command_line;
  std::ostream& lines = std::cout;     ///< for figures of merit and status
  std::ostream& progress = std::cerr;  ///< for epochs and checkpoints
  std::ostream& messages = std::cerr;  ///< for what a user should know

  /// The same on another input, which outlives it.
  [[nodiscard]] Job with(const Input& other) const {
    return {.input = other,
            .environment = environment,
            .world = world,
            .ranks_on_host = ranks_on_host,
            .rank_on_host = rank_on_host,
            .command_line = command_line,
            .lines = lines,
            .progress = progress,
            .messages = messages};
  }

  /// Threads that a rank computes with, `wanted` (0: its share of the cores).
  [[nodiscard]] int threads(int wanted) const;
};

struct Program {
  std::string name;
  /// `read_input` and what else this program refuses.
  std::function<Input(int argc, const char* const* argv, int rank, int world_size)> read;
  std::function<int(const Job&)> run;
};

/// `main` of the program: agrees on the violations before anything else happens, prints all of them on rank 0
/// and ends with 2 on every rank; answers --help, --version and --print-config; else runs.
int run_main(const Program&, int argc, char** argv);

/// The kernels that the options name; of CUDA devices the one that this rank of its host is to use.
std::unique_ptr<kernels::Backend> make_backend(const Job&, int threads);

/// "FOM name=… value=… unit=…" for each figure, then the status: PASS where nothing failed.
void print_last_lines(std::ostream&, const std::vector<results::Figure>&, std::string_view failure);

}  // namespace partita::job
