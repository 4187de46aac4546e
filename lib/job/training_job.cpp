/// The course of a training: check input and files, describe or run it, resume, keep the record up to date,
/// save the model, and turn the outcome into status, last line and exit code.
#include "partita/job/training_job.hpp"

#include <cmath>
#include <iomanip>
#include <iostream>
#include <utility>

#include "choice.hpp"
#include "mlperf_log.hpp"
#include "partita/job/describe.hpp"
#include "partita/job/files.hpp"
#include "partita/job/model_file.hpp"
#include "partita/job/preprocessing.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/results/result_file.hpp"
#include "partita/run/signals.hpp"
#include "resume.hpp"
#include "run_record.hpp"

namespace partita::job {
namespace {

std::vector<base::Violation> check_outputs(const config::RunOptions& options) {
  std::vector<base::Violation> violations;
  const auto append = [&](const std::vector<base::Violation>& more) {
    violations.insert(violations.end(), more.begin(), more.end());
  };
  if (!options.output.empty())
    append(results::check_output_path("output", options.output, options.overwrite));
  if (!options.save_model.empty())
    append(results::check_output_path("save-model", options.save_model, options.overwrite));
  // The folder of the output says the same of a folder beside it.
  if (const auto dir = config::checkpoint_dir(options); !dir.empty() && violations.empty())
    append(results::check_checkpoint_dir(dir, options.overwrite));
  if (options.overwrite && violations.empty()) append(check_overwritten(options));
  return violations;
}

}  // namespace

Input read_shared_input(int argc, const char* const* argv, int world_size, DataSets& sets, Kernels kernels) {
  auto input = read_input(argc, argv, world_size, sets, Normalised::as_asked, kernels);
  const auto& options = input.options;
  if (!input.has_work()) return input;
  const bool can_split = input.model_is_known && input.grid_fits;
  if (can_split && options.strategy == config::Strategy::automatic)
    choose_plan(input, world_size);
  else if (can_split)
    input.split = config::split_for_training(options, input.machine, input.violations);
  if (input.data && input.model_is_known)
    input.append(config::check_statistics(options, input.data->train.samples));
  input.append(skip_layers(input.start, options));
  if (input.model_is_known && input.start)
    input.append(check_model_file(*input.start, options.model, Layers::shared, options.load_model.string()));
  if (options.resume && options.overwrite)
    input.violations.push_back({"resume", "", "goes on with what is there, --overwrite deletes it"});
  return input;
}

std::vector<results::NamedPath> files_of(const Input& input) {
  using results::Use;
  const auto& options = input.options;
  auto files = files_read(input);
  files.push_back({"output", options.output, Use::writes});
  files.push_back({"save-model", options.save_model, Use::writes});
  files.push_back({"checkpoint.dir", config::checkpoint_dir(options), Use::keeps});
  return files;
}

std::vector<base::Violation> check_files(const Input& input) {
  if (!input.has_work() || !input.writes()) return {};
  return input.options.resume ? check_resume(input) : check_outputs(input.options);
}

Input read_training_input(int argc, const char* const* argv, int rank, int world_size) {
  DataSets sets;
  auto input = read_shared_input(argc, argv, world_size, sets);
  if (rank != 0 || !input.has_work()) return input;
  if (hold(input, files_of(input))) input.append(check_files(input));
  return input;
}

namespace {

run::TrainingOptions training_options(const config::RunOptions& options, kernels::Samples train_samples) {
  const auto& t = options.train;
  const auto decay = t.schedule == config::LearningRateSchedule::cosine ? nn::Decay::cosine
                     : t.schedule == config::LearningRateSchedule::step ? nn::Decay::step
                                                                        : nn::Decay::constant;
  return {.batch = t.batch,
          .epochs = t.epochs,
          .steps = t.steps,
          .learning_rate = {.base = t.learning_rate,
                            .decay = decay,
                            .warmup_steps = t.warmup_steps,
                            .step_length = t.step_epochs * t.steps_of_epoch(train_samples),
                            .gamma = t.gamma,
                            .total_steps = t.steps_on(train_samples)},
          .optimizer = t.optimizer,
          .seed = t.seed,
          .shuffle = t.shuffle,
          .target_accuracy = t.target_accuracy,
          .evaluate_every = options.evaluate_every,
          .timeline_first = options.timeline.first,
          .timeline_steps = options.timeline.steps,
          .snapshot_seconds = options.output.empty() ? 0 : options.snapshot_seconds,
          .checkpoint = {.dir = config::checkpoint_dir(options),
                         .every = options.checkpoint.every,
                         .seconds = options.checkpoint.seconds,
                         .keep = options.checkpoint.keep},
          .interrupted = &run::stop_signal_came,
          .initializer = options.init,
          .device_messages = options.sync.device_messages};
}

void print_epoch(std::ostream& progress, const run::EpochRow& row) {
  progress << "epoch " << row.epoch << std::fixed << std::setprecision(4) << "  train loss "
           << row.train_loss;
  if (row.test_loss) progress << "  test loss " << *row.test_loss;
  if (row.test_accuracy) progress << "  test accuracy " << *row.test_accuracy;
  progress << std::setprecision(0) << "  " << row.samples_per_second << " samples/s" << std::defaultfloat
           << std::endl;
}

void print_description(const Job& job, const run::TrainingOptions& training, kernels::Backend& backend) {
  const auto& data = *job.input.data;
  const auto& split = *job.input.split;
  const step::TensorFormat format{.type = backend.type(), .layout = backend.image_layout()};
  const auto trained = [&](const topology::Coordinate& at) {
    return step::build_training_program(split.model, split.plan, at, format);
  };
  const auto evaluated = [&](const topology::Coordinate& at) {
    return step::build_evaluation_program(split.model, split.plan, at, format);
  };
  std::cout << describe(
      job.input.options,
      {.split = split,
       .machine = job.input.machine,
       .site = assumed_site(job),
       .programs = {{trained, run::batch_sizes(training.batch, data.train.samples.value())},
                    {evaluated, run::batch_sizes(run::evaluation_batch * split.plan.grid.data,
                                                 data.test.samples.value())}}});
}

void print_report(const Job& job, const state::CheckpointReport& report) {
  if (!report.failure.empty())
    job.messages << "checkpoint of step " << report.step << " FAILED: " << report.failure << std::endl;
  else
    job.progress << "checkpoint of step " << report.step << ": " << report.bytes.value() << " bytes in "
                 << config::checkpoint_dir(job.input.options).string() << std::endl;
}

/// How the run ended, for the last line; empty when all is well.
std::string failure_of(const run::Training& training, run::Outcome outcome) {
  if (outcome == run::Outcome::diverged) return training.failure();
  if (outcome != run::Outcome::interrupted) return "";
  if (training.is_checkpointed()) return "checkpointed on a signal; submit again with --resume";
  if (training.committed_step() < 0) return "interrupted by a signal, nothing could be checkpointed";
  return "checkpointed on a signal at step " + std::to_string(training.committed_step()) +
         " only; submit again with --resume";
}

int exit_code_of(run::Outcome outcome, bool can_go_on) {
  if (outcome == run::Outcome::diverged) return failed;
  if (outcome == run::Outcome::interrupted) return can_go_on ? checkpointed : failed;
  return success;
}

results::Status status_of(run::Outcome outcome, bool can_go_on) {
  if (outcome == run::Outcome::diverged) return results::Status::invalid;
  if (outcome != run::Outcome::interrupted) return results::Status::complete;
  return can_go_on ? results::Status::running : results::Status::aborted;
}

/// A training and its record, kept up to date together.
class RecordedTraining {
 public:
  RecordedTraining(const Job& job, run::Training& training, kernels::Backend& backend, int threads,
                   MlperfLog& log)
      : job_(job), training_(training), log_(log), record_(begin_record(job, training, backend, threads)) {}

  /// Goes on from a checkpoint instead of the beginning.
  void continue_from(const Resumed& resumed) {
    if (job_.world.rank() != 0) return;
    continue_record(record_, resumed);
    earlier_timeline_ = record_.timeline;
    if (resumed.same_run) earlier_ = {.traffic = resumed.record.traffic, .peers = resumed.record.peers};
  }
  run::Outcome run() {
    const bool speaks = job_.world.rank() == 0;
    return training_.run(
        {.on_epoch_begin = [&](std::int64_t epoch) { log_.begin_epoch(epoch); },
         .on_evaluation_begin = [&](std::int64_t epoch) { log_.begin_evaluation(epoch); },
         .on_epoch =
             [&](const run::EpochRow& row) {
               log_.end_epoch(row);
               if (speaks) print_epoch(job_.progress, row);
               snapshot();
             },
         .on_snapshot = [&] { snapshot(); },
         .on_checkpoint =
             [&] {
               update();
               return speaks ? results::image_of(record_) : std::vector<std::byte>{};
             },
         .on_report = [&](const state::CheckpointReport& report) { print_report(job_, report); }});
  }
  /// The final result, whichever way the run ended. Collective; complete on rank 0.
  const results::RunRecord& finish(results::Status status) {
    record_.attributes.status = status;
    record_.attributes.status_reason = training_.failure();
    update();
    if (job_.world.rank() == 0) record_.figures = figures_of_merit(record_, training_);
    write();
    return record_;
  }

 private:
  void update() {
    update_record(record_, job_.world, training_, std::exchange(recorded_, training_.steps().size()),
                  earlier_);
    // A checkpoint's result has the steps of the timeline that are over.
    if (timed_ == training_.recorded().size()) return;
    timed_ = training_.recorded().size();
    record_.timeline = earlier_timeline_;
    add_timeline(record_, job_.world, job_.input.options.model, training_);
  }
  void write() const {
    const auto& output = job_.input.options.output;
    if (job_.world.rank() == 0 && !output.empty()) results::write_snapshot(output, record_);
  }
  void snapshot() {
    update();
    write();
  }

  const Job& job_;
  run::Training& training_;
  MlperfLog& log_;
  results::RunRecord record_;
  Exchanged earlier_;         ///< before the checkpoint
  std::size_t recorded_ = 0;  ///< steps
  results::Timeline earlier_timeline_;
  std::size_t timed_ = 0;  ///< steps
};

void tell_plans(const Job& job) {
  if (job.world.rank() != 0) return;
  for (const auto& [candidate, row] : job.input.plans) {
    job.messages << (row.chosen ? "strategy auto takes " : "               beside ") << row.plan
                 << ": predicted " << row.predicted_seconds * 1e3 << " ms a step";
    if (!std::isnan(row.measured_seconds))
      job.messages << ", measured " << row.measured_seconds * 1e3 << " ms";
    job.messages << std::endl;
  }
}

int train(const Job& job, const run::TrainingOptions& asked, kernels::Backend& backend, int threads) {
  const auto& options = job.input.options;
  auto& world = job.world;
  const bool speaks = world.rank() == 0;
  // Before a checkpoint is gone on from or removed, on all ranks, since beginning the record waits for each:
  // a signal is then for the next step boundary. To the end of the process: once the first rank has left with
  // the code of a checkpoint, srun -K1 sends SIGTERM to the others.
  run::notice_stop_signals();
  MlperfLog log(options.mlperf_log && speaks ? &job.lines : nullptr);
  run::Training training(options.model, job.input.split->plan, asked, backend, world, *job.input.data);
  training.calibrate();
  if (job.input.start) {
    tell_of_model(job, job.input.data->train);
    for (const auto& tensor : tensors_of(*job.input.start, options.model))
      training.set_parameter(tensor);
  }
  RecordedTraining recorded(job, training, backend, threads, log);
  if (options.resume) {
    if (const auto from = resume(job, training)) recorded.continue_from(*from);
  } else if (speaks) {
    results::remove_all_checkpoints(config::checkpoint_dir(options));
  }
  log.begin_run(options, *job.input.data);
  const auto outcome = recorded.run();
  log.end_run(outcome == run::Outcome::target_reached ||
              (outcome == run::Outcome::complete && !options.train.target_accuracy));
  // Before the result says that the run is complete.
  if (outcome != run::Outcome::interrupted && !options.save_model.empty()) {
    const auto whole = training.gather_parameters(state::Receivers::rank_0);
    if (speaks) results::write_model(options.save_model, model_file(options, job.input.data->train, whole));
  }
  const bool can_go_on = training.committed_step() >= 0;
  const auto& record = recorded.finish(status_of(outcome, can_go_on));
  if (speaks) print_last_lines(job.lines, record.figures, failure_of(training, outcome));
  world.barrier();  // nobody frees shared memory before the files are written, nor where that failed
  return exit_code_of(outcome, can_go_on);
}

/// With the plan that the job has.
int run_planned(const Job& job, run::TrainingOptions asked, kernels::Backend& backend, int threads) {
  const auto& options = job.input.options;
  asked.checkpoint.describe = [&] {
    return results::Manifest{.identity = identity_of(options, *job.input.data),
                             .config = config::print_config(options),
                             .config_hash = config::config_hash(options),
                             .load_model_hash = options.load_model_hash,
                             .output = output_seen_from_checkpoints(options)};
  };
  return train(job, asked, backend, threads);
}

}  // namespace

int run_training(const Job& job) {
  const auto& options = job.input.options;
  // A threaded matrix product adds in another order: the deterministic mode computes with one thread.
  const int threads = job.threads(options.threads == 0 && options.train.deterministic ? 1 : options.threads);
  const auto backend = make_backend(job, threads);
  auto asked = training_options(options, job.input.data->train.samples);
  if (job.input.clock)
    asked.execution = predict::execution_of(options, options.grid.size(), *job.input.clock);
  if (!job.input.writes()) {
    if (job.world.rank() == 0) print_description(job, asked, *backend);
    return success;
  }
  if (options.resume)
    if (const auto ended = find_ended(job)) {
      if (job.world.rank() == 0) {
        job.messages << options.output.string() << " has ended already: nothing to do" << std::endl;
        print_last_lines(job.lines, ended->record.figures,
                         ended->exit_code == success ? "" : "the result is invalid");
      }
      return ended->exit_code;
    }
  if (job.input.clock) {
    job.world.use_virtual_clock(*job.input.clock);
    if (job.world.rank() == 0)
      job.messages << "virtual clock: all times are those of " << options.virtual_clock.string()
                   << ", none was measured" << std::endl;
  }
  if (job.input.plans.empty()) return run_planned(job, asked, *backend, threads);
  const bool races = options.automatic.measure > 0 && job.input.plans.size() > 1;
  const Input chosen = races ? race_plans(job, asked, *backend) : job.input;
  const Job planned = job.with(chosen);
  tell_plans(planned);
  return run_planned(planned, asked, *backend, threads);
}

}  // namespace partita::job
