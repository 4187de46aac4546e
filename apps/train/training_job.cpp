#include "train/training_job.hpp"

#include <iomanip>
#include <iostream>
#include <utility>

#include "job/describe.hpp"
#include "job/model_file.hpp"
#include "mlperf_log.hpp"
#include "partita/results/result_file.hpp"
#include "run_record.hpp"

namespace partita::train {

job::Input read_input(int argc, const char* const* argv, int rank, int world_size) {
  auto input = job::read_input(argc, argv, world_size);
  const auto& options = input.options;
  if (!input.has_work()) return input;
  if (input.model_is_known && input.grid_fits) input.append(config::check_plan(options));
  if (input.model_is_known && input.start)
    input.append(
        job::check_model_file(*input.start, options.model, job::Layers::shared, options.load_model.string()));
  if (rank == 0 && input.writes()) {
    if (!options.output.empty())
      input.append(results::check_output_path("output", options.output, options.overwrite));
    if (!options.save_model.empty())
      input.append(results::check_output_path("save-model", options.save_model, options.overwrite));
  }
  return input;
}

namespace {

run::TrainingOptions training_options(const config::RunOptions& options, std::int64_t train_samples) {
  const auto& t = options.train;
  const std::int64_t steps_per_epoch = (train_samples + t.batch - 1) / t.batch;
  const auto decay = t.schedule == config::LearningRateSchedule::cosine ? nn::Decay::cosine
                     : t.schedule == config::LearningRateSchedule::step ? nn::Decay::step
                                                                        : nn::Decay::constant;
  return {.split = config::plan_options(options),
          .epochs = t.epochs,
          .steps = t.steps,
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
          .algorithm = options.sync.algorithm};
}

void print_epoch(const run::EpochRow& row) {
  std::cerr << "epoch " << row.epoch << std::fixed << std::setprecision(4) << "  train loss "
            << row.train_loss;
  if (row.test_loss) std::cerr << "  test loss " << *row.test_loss;
  if (row.test_accuracy) std::cerr << "  test accuracy " << *row.test_accuracy;
  std::cerr << std::setprecision(0) << "  " << row.samples_per_second << " samples/s" << std::defaultfloat
            << std::endl;
}

void print_description(const config::RunOptions& options, const run::TrainingOptions& training,
                       const kernels::Backend& backend) {
  const auto plan = step::plan(options.model, training.split);
  std::cout << job::describe(
      options, {.split = {.model = options.model, .plan = plan, .batch = training.split.batch},
                .program_at = [&](const topology::Coordinate& at) {
                  return step::build_training_program(
                      options.model, plan, at, {.type = backend.type(), .layout = backend.image_layout()});
                }});
}

}  // namespace

int run_training(const job::Job& job) {
  const auto& options = job.input.options;
  auto& world = job.world;
  // A threaded matrix product adds in another order: the deterministic mode computes with one thread.
  const int threads = job.threads(options.threads == 0 && options.train.deterministic ? 1 : options.threads);
  const auto backend = job::make_backend(options, threads);
  const auto asked = training_options(options, job.input.data->train.samples.value());
  if (!job.input.writes()) {
    if (world.rank() == 0) print_description(options, asked, *backend);
    return job::success;
  }
  MlperfLog log(options.mlperf_log && world.rank() == 0 ? &std::cout : nullptr);
  run::Training training(options.model, asked, *backend, world, *job.input.data);
  training.calibrate();
  if (job.input.start)
    for (const auto& tensor : job::tensors_of(*job.input.start, options.model))
      training.set_parameter(tensor);
  auto record = begin_record(job, training, *backend, threads);
  std::size_t recorded = 0;
  const auto snapshot = [&] {
    update_record(record, world, training, std::exchange(recorded, training.steps().size()));
    if (world.rank() == 0 && !options.output.empty()) results::write_snapshot(options.output, record);
  };
  log.begin_run(options, *job.input.data);
  const auto outcome =
      training.run({.on_epoch_begin = [&](std::int64_t epoch) { log.begin_epoch(epoch); },
                    .on_evaluation_begin = [&](std::int64_t epoch) { log.begin_evaluation(epoch); },
                    .on_epoch =
                        [&](const run::EpochRow& row) {
                          log.end_epoch(row);
                          if (world.rank() == 0) print_epoch(row);
                          snapshot();
                        },
                    .on_snapshot = snapshot});
  const bool diverged = outcome == run::Outcome::diverged;
  log.end_run(options.train.target_accuracy ? outcome == run::Outcome::target_reached : !diverged);
  record.attributes.status = diverged ? results::Status::invalid : results::Status::complete;
  update_record(record, world, training, recorded);
  add_timeline(record, world, options.model, training);
  const auto whole =
      options.save_model.empty() ? std::vector<run::LogicalTensor>{} : training.gather_parameters();
  if (world.rank() == 0) {
    record.figures = figures_of_merit(record, training);
    if (!options.output.empty()) results::write_snapshot(options.output, record);
    if (!options.save_model.empty())
      results::write_model(options.save_model, job::model_file(options, whole));
    job::print_last_lines(record.figures, diverged ? "the loss or a parameter is not finite" : "");
  }
  return diverged ? job::failed : job::success;
}

}  // namespace partita::train
