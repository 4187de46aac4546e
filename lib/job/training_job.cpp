/// The course of a training: check input and files, describe or run it, resume, keep the record up to date,
/// save the model, and turn the outcome into status, last line and exit code.
#include "partita/job/training_job.hpp"

#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <utility>

#include "choice.hpp"
#include "partita/job/describe.hpp"
#include "partita/job/files.hpp"
#include "partita/job/model_file.hpp"
#include "partita/job/preprocessing.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/results/result_file.hpp"
#include "partita/run/signals.hpp"
#include "recorded_training.hpp"
#include "replay.hpp"

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
  if (input.split && input.data) {
    auto& cadence = input.split->plan.cadence;
    cadence.local.epoch_steps = options.train.steps_of_epoch(input.data->train.samples);
    cadence.run_steps = options.train.steps_on(input.data->train.samples);
  }
  read_replay(input);
  if (input.data && input.model_is_known)
    input.append(config::check_statistics(options, input.data->train.samples));
  if (input.data) input.append(config::check_secure_batches(options, input.data->train.samples));
  input.append(skip_layers(input.start, options));
  if (input.model_is_known && input.start)
    input.append(check_model_file(*input.start, options.model, Layers::shared, options.load_model.string()));
  if (kernels == Kernels::run_here) input.append(check_replanning(input));
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
          .config_hash = config::config_hash(options),
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

/// Trains to the end, from plan to plan where the run changes its split. A plan is taken up from a
/// checkpoint, as by a run that is resumed on another grid; where that could not be written the plan before
/// goes on.
run::Outcome train_on_plans(const Job& job, std::unique_ptr<run::Training>& training,
                            RecordedTraining& recorded, Replanner& replanner,
                            const std::function<std::unique_ptr<run::Training>(const plan::Split&)>& bind) {
  auto outcome = recorded.run();
  for (; outcome == run::Outcome::left; outcome = recorded.run()) {
    if (!training->is_checkpointed()) continue;
    const auto epochs = training->epochs();
    const double checkpoint_seconds = training->checkpoint_seconds();
    const auto folder =
        results::checkpoint_folder(config::checkpoint_dir(job.input.options), training->committed_step());
    job.world.barrier();  // nobody frees memory that another rank still looks at
    training.reset();
    training = bind(replanner.move());
    training->restore(folder, results::read_manifest(folder), epochs);
    recorded.continue_with(*training, checkpoint_seconds);
  }
  return outcome;
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
  Replanner replanner(job);
  const auto bind = [&](const plan::Split& split) {
    auto bound =
        std::make_unique<run::Training>(options.model, split.plan, asked, backend, world, *job.input.data);
    bound->calibrate();
    return bound;
  };
  auto training = bind(replanner.split());
  if (job.input.start) {
    tell_of_model(job, job.input.data->train);
    for (const auto& tensor : tensors_of(*job.input.start, options.model))
      training->set_parameter(tensor);
  }
  RecordedTraining recorded(job, *training, backend, threads, log, replanner);
  if (options.resume) {
    if (const auto from = resume(job, *training)) recorded.continue_from(*from);
  } else if (speaks) {
    results::remove_all_checkpoints(config::checkpoint_dir(options));
  }
  log.begin_run(options, *job.input.data);
  const auto outcome = train_on_plans(job, training, recorded, replanner, bind);
  log.end_run(outcome == run::Outcome::target_reached ||
              (outcome == run::Outcome::complete && !options.train.target_accuracy));
  // Before the result says that the run is complete.
  if (outcome != run::Outcome::interrupted && !options.save_model.empty()) {
    const auto whole = training->gather_parameters(state::Receivers::rank_0);
    if (speaks) results::write_model(options.save_model, model_file(options, job.input.data->train, whole));
  }
  const bool can_go_on = training->committed_step() >= 0;
  const auto& record = recorded.finish(status_of(outcome, can_go_on));
  if (speaks) print_last_lines(job.lines, record.figures, failure_of(*training, outcome));
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
  asked.replay = job.input.replay;
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
    job.world.use_virtual_clock(*job.input.clock, asked.execution.crowding);
    if (job.world.rank() == 0)
      job.messages << "virtual clock: all times are those of " << options.virtual_clock.string()
                   << ", none was measured" << std::endl;
  }
  if (job.input.plans.empty()) return run_planned(job, asked, *backend, threads);
  const Input chosen = rounds_of_race(job.input) > 0 ? race_plans(job, asked, *backend) : job.input;
  const Job planned = job.with(chosen);
  tell_plans(planned);
  return run_planned(planned, asked, *backend, threads);
}

}  // namespace partita::job
