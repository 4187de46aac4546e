/// partita-train: trains a model on a grid of MPI ranks and records what it cost.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>
#include <utility>

#include "describe.hpp"
#include "partita/comm/communicator.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/version.hpp"
#include "run_record.hpp"

namespace {

using namespace partita;

enum ExitCode { success = 0, failed = 1, bad_input = 2 };

/// Everything that can be refused, checked on this rank alone.
struct Input {
  config::RunOptions options;
  std::optional<data::DataPair> data;
  std::optional<results::ModelFile> start;
  collective::AlgorithmTable table = collective::AlgorithmTable::shipped();
  std::vector<base::Violation> violations;
};

Input read_input(int argc, char** argv, int rank, int world_size) {
  Input input;
  auto& violations = input.violations;
  auto& options = input.options = config::parse(argc, argv, violations);
  if (options.help || options.version || options.print_config) return input;
  const bool model_is_known = violations.empty();
  const auto append = [&](const std::vector<base::Violation>& more) {
    violations.insert(violations.end(), more.begin(), more.end());
  };
  const auto misfit = config::fit_to_world(options, world_size);
  append(misfit);
  if (model_is_known && misfit.empty()) append(config::check_plan(options));
  if (options.print_program && *options.print_program >= world_size)
    violations.push_back({"print-program", std::to_string(*options.print_program),
                          "is no rank of this job; the nearest is " + std::to_string(world_size - 1)});
  if (!options.sync.table.empty())
    input.table = collective::AlgorithmTable::read(options.sync.table, violations);
  input.data = data::load(options.data, violations);
  if (input.data && model_is_known) append(config::check_data(options, *input.data));
  if (!options.load_model.empty()) {
    try {
      input.start = results::read_model(options.load_model);
      if (model_is_known)
        append(train::check_model_file(*input.start, options.model, options.load_model.string()));
    } catch (const base::ConfigError& wrong) {
      append(wrong.violations());
    } catch (const base::EnvironmentError& wrong) {
      violations.push_back({"load-model", options.load_model.string(), wrong.what()});
    }
  }
  if (rank == 0 && !options.dry_run && !options.print_program) {
    if (!options.output.empty())
      append(results::check_output_path("output", options.output, options.overwrite));
    if (!options.save_model.empty())
      append(results::check_output_path("save-model", options.save_model, options.overwrite));
  }
  return input;
}

std::unique_ptr<kernels::Backend> make_backend(const config::RunOptions& options, int threads) {
  if (options.backend == config::Backend::cpu) return kernels::make_cpu_backend(threads);
  return kernels::make_reference_backend(options.train.precision == config::Precision::fp64
                                             ? kernels::DataType::float64
                                             : kernels::DataType::float32);
}

run::TrainingOptions training_options(const config::RunOptions& options, std::int64_t train_samples) {
  const auto& t = options.train;
  const std::int64_t steps_per_epoch = (train_samples + t.batch - 1) / t.batch;
  const auto decay = t.schedule == config::LearningRateSchedule::cosine ? nn::Decay::cosine
                     : t.schedule == config::LearningRateSchedule::step ? nn::Decay::step
                                                                        : nn::Decay::constant;
  return {.grid = options.grid,
          .pipeline = config::pipeline_options(options),
          .grains = t.deterministic ? t.grains : 0,
          .epochs = t.epochs,
          .steps = t.steps,
          .batch = t.batch,
          .learning_rate = {.base = t.learning_rate,
                            .decay = decay,
                            .warmup_steps = t.warmup_steps,
                            .step_length = t.step_epochs * steps_per_epoch,
                            .gamma = t.gamma,
                            .total_steps = t.steps.value_or(t.epochs * steps_per_epoch)},
          .momentum = t.momentum,
          .weight_decay = t.weight_decay,
          .seed = t.seed,
          .shuffle = t.shuffle,
          .target_accuracy = t.target_accuracy,
          .evaluate_every = options.evaluate_every,
          .timeline_first = options.timeline.first,
          .timeline_steps = options.timeline.steps,
          .snapshot_seconds = options.output.empty() ? 0 : options.snapshot_seconds,
          .initializer = options.init,
          .algorithm = options.sync.algorithm,
          .bucket_bytes = options.sync.bucket_bytes};
}

void print_epoch(const run::EpochRow& row) {
  std::cerr << "epoch " << row.epoch << std::fixed << std::setprecision(4) << "  train loss "
            << row.train_loss;
  if (row.test_loss) std::cerr << "  test loss " << *row.test_loss;
  if (row.test_accuracy) std::cerr << "  test accuracy " << *row.test_accuracy;
  std::cerr << std::setprecision(0) << "  " << row.samples_per_second << " samples/s" << std::defaultfloat
            << std::endl;
}

int run_training(const Input& input, comm::MpiEnvironment& environment, comm::Communicator& world,
                 int ranks_on_host, const std::string& command_line) {
  const auto& options = input.options;
  // A threaded matrix product adds in another order: the deterministic mode computes with one thread.
  const int threads = options.threads > 0           ? options.threads
                      : options.train.deterministic ? 1
                                                    : std::max(1, world.node_cores() / ranks_on_host);
  const auto backend = make_backend(options, threads);
  if (options.dry_run || options.print_program) {
    if (world.rank() == 0)
      std::cout << (options.dry_run ? train::describe(options, *backend) : "")
                << (options.print_program ? train::describe_program(options, *backend, *options.print_program) : "");
    return success;
  }
  if (world.rank() == 0 && options.strategy != config::Strategy::none)
    std::cerr << "strategy " << to_string(options.strategy) << ": grid " << to_string(options.grid) << std::endl;
  run::Training training(options.model, training_options(options, input.data->train.samples.value()),
                         *backend, world, *input.data);
  training.calibrate();
  if (input.start) train::load_parameters(*input.start, options.model, training);
  auto record =
      train::begin_record(options, environment, world, *input.data, training, threads, command_line);
  record.environment.entries["math_library"] = backend->library();
  record.environment.entries["all_reduce_table"] = input.table.hash();
  std::size_t recorded = 0;
  const auto snapshot = [&] {
    train::update_record(record, world, training, std::exchange(recorded, training.steps().size()));
    if (world.rank() == 0 && !options.output.empty()) results::write_snapshot(options.output, record);
  };
  const auto outcome = training.run({.on_epoch =
                                         [&](const run::EpochRow& row) {
                                           if (world.rank() == 0) print_epoch(row);
                                           snapshot();
                                         },
                                     .on_snapshot = snapshot});
  const bool diverged = outcome == run::Outcome::diverged;
  record.attributes.status = diverged ? results::Status::invalid : results::Status::complete;
  train::update_record(record, world, training, recorded);
  train::add_timeline(record, world, training);
  const auto whole = options.save_model.empty() ? std::vector<run::LogicalTensor>{} : training.gather_parameters();
  if (world.rank() == 0) {
    record.figures = train::figures_of_merit(record, training);
    if (!options.output.empty()) results::write_snapshot(options.output, record);
    if (!options.save_model.empty())
      results::write_model(options.save_model, train::model_file(options, training, whole));
    for (const auto& figure : record.figures)
      std::cout << "FOM name=" << figure.name << " value=" << figure.value << " unit=" << figure.unit << "\n";
    std::cout << (diverged ? "STATUS: FAIL the loss or a parameter is not finite" : "STATUS: PASS")
              << std::endl;
  }
  return diverged ? failed : success;
}

}  // namespace

int main(int argc, char** argv) {
  std::string command_line;
  for (int i = 0; i < argc; ++i)
    command_line += (i > 0 ? " " : "") + std::string(argv[i]);
  return comm::run_program(argc, argv, std::cerr, [&](comm::MpiEnvironment& environment) -> int {
    auto control = comm::Communicator::world(environment);
    const Input input = read_input(argc, argv, control.rank(), control.size());
    const auto violations = control.agree(input.violations);
    const bool prints = control.rank() == 0;
    if (!violations.empty()) {
      if (prints)
        for (const auto& violation : violations)
          std::cerr << "partita-train: " << to_string(violation) << "\n";
      return bad_input;
    }
    const auto& options = input.options;
    if (options.help || options.version || options.print_config) {
      if (prints)
        std::cout << (options.help ? config::help_text("partita-train")
                      : options.version
                          ? "partita-train " + std::string(results::version().software_version) + "\n"
                          : config::print_config(options));
      return success;
    }
    auto world = control.with_nodes_of(options.sync.ranks_per_node);
    world.use(input.table);
    return run_training(input, environment, world, control.local_size(), command_line);
  });
}
