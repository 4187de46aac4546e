/// partita-infer: runs a saved model over the test set on a grid of MPI ranks; predictions, accuracy, latency
/// of a batch and throughput.
///
/// It reads the same run files as partita-train and leaves alone what only training needs (epochs,
/// save-model, …).
#include <algorithm>
#include <cmath>
#include <iostream>

#include "partita/base/end_signals.hpp"
#include "partita/command_line/program.hpp"
#include "partita/job/describe.hpp"
#include "partita/job/files.hpp"
#include "partita/job/model_file.hpp"
#include "partita/job/preprocessing.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/statistics.hpp"
#include "partita/run/inference.hpp"

namespace {

using namespace partita;

void check_samples(job::Input& input) {
  const auto& asked = input.options.infer.samples;
  if (!asked || !input.data || *asked <= input.data->test.samples.value()) return;
  const auto most = std::to_string(input.data->test.samples.value());
  input.violations.push_back({"infer.samples", std::to_string(*asked),
                              "the test set has " + most + " samples; the nearest is " + most});
}

job::Input read_input(int argc, const char* const* argv, int rank, int world_size) {
  job::DataSets sets;
  auto input = job::read_input(argc, argv, world_size, sets, job::Normalised::as_trained);
  const auto& options = input.options;
  if (!input.has_work()) return input;
  if (input.model_is_known && input.grid_fits)
    input.split = config::split_for_inference(options, input.machine, input.violations);
  if (options.load_model.empty())
    input.violations.push_back(
        {"load-model", "", "is missing: name a model file that partita-train --save-model wrote"});
  if (input.model_is_known && input.start)
    input.append(
        job::check_model_file(*input.start, options.model, job::Layers::all, options.load_model.string()));
  check_samples(input);
  if (rank != 0) return input;
  auto files = job::files_read(input);
  files.push_back({"output", options.output, results::Use::writes});
  if (job::hold(input, files) && input.writes() && !options.output.empty())
    input.append(results::check_output_path("output", options.output, options.overwrite));
  return input;
}

run::InferenceOptions inference_options(const job::Input& input) {
  const auto& options = input.options;
  return {.batch = input.split->batch,
          .samples = options.infer.samples.value_or(input.data->test.samples.value()),
          .repetitions = options.infer.repetitions,
          .warmup = options.infer.warmup,
          .device_messages = options.sync.device_messages};
}

void print_description(const job::Job& job, const run::InferenceOptions& inference,
                       const kernels::Backend& backend) {
  const auto& split = *job.input.split;
  const auto inferred = [&](const topology::Coordinate& at) {
    return step::build_evaluation_program(split.model, split.plan, at,
                                          {.type = backend.type(), .layout = backend.image_layout()});
  };
  std::cout << job::describe(
      job.input.options, {.split = split,
                          .machine = job.input.machine,
                          .site = job::assumed_site(job),
                          .programs = {{inferred, run::batch_sizes(inference.batch, inference.samples)}}});
}

std::vector<results::Figure> figures_of_merit(const run::Inferred& inferred) {
  std::vector<results::Figure> figures{{"throughput", inferred.samples_per_second, "samples/s"}};
  for (const int percent : {50, 90, 95, 99})
    figures.push_back(
        {"latency_p" + std::to_string(percent), results::percentile(inferred.latency_seconds, percent), "s"});
  figures.push_back({"latency_max", results::percentile(inferred.latency_seconds, 100), "s"});
  figures.push_back({"test_loss", inferred.loss, "1"});
  if (!inferred.predictions.empty()) figures.push_back({"test_accuracy", inferred.accuracy, "1"});
  return figures;
}

/// The accuracy that the ranks counted, against the gathered predictions.
bool agree(const run::Inferred& inferred, const data::Dataset& dataset) {
  std::int64_t correct = 0;
  for (std::size_t i = 0; i < inferred.predictions.size(); ++i)
    correct += inferred.predictions[i] == dataset.labels[i] ? 1 : 0;
  return inferred.predictions.empty() ||
         std::llround(inferred.accuracy * static_cast<double>(inferred.predictions.size())) == correct;
}

/// On rank 0.
std::string failure_of(const run::Inferred& inferred, const data::Dataset& dataset) {
  if (!std::isfinite(inferred.loss)) return "the loss is not finite";
  return agree(inferred, dataset) ? "" : "the predictions have another accuracy than the ranks counted";
}

results::Inference stored(const run::Inferred& inferred, const run::Inference& inference) {
  return {
      .prediction = inferred.predictions,
      .features = inferred.outputs.empty() ? 0 : inference.model().layers.back().output.elements().value(),
      .output = inferred.outputs,
      .latency_seconds = inferred.latency_seconds};
}

int run_inference(const job::Job& job) {
  const auto& options = job.input.options;
  auto& world = job.world;
  const int threads = job.threads(options.threads);
  const auto backend = job::make_backend(job, threads);
  const auto& dataset = job.input.data->test;
  const auto asked = inference_options(job.input);
  if (!job.input.writes()) {
    if (world.rank() == 0) print_description(job, asked, *backend);
    return job::success;
  }
  job::tell_of_model(job, dataset);
  run::Inference inference(job.input.split->model, job.input.split->plan, asked, *backend, world, dataset);
  for (const auto& tensor : job::tensors_of(*job.input.start, options.model))
    inference.set_parameter(tensor);
  auto record = job::begin_record(job, *backend, threads);
  record.attributes.load_model_hash = options.load_model_hash;
  const auto inferred = inference.run();
  const auto failure = world.rank() == 0 ? failure_of(inferred, dataset) : "";
  double fails = failure.empty() ? 0 : 1;
  world.all_reduce(std::span(&fails, 1), comm::Combine::max, collective::Purpose::control);
  record.attributes.status = fails > 0 ? results::Status::invalid : results::Status::complete;
  job::update_costs(record, world, inference.evaluator().program(), inference.evaluator().executor());
  if (world.rank() == 0) {
    record.figures = figures_of_merit(inferred);
    record.inference = stored(inferred, inference);
    if (!options.output.empty()) results::write_snapshot(options.output, record);
    job::print_last_lines(job.lines, record.figures, failure);
  }
  return fails > 0 ? job::failed : job::success;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-infer");
  return command_line::run("partita-infer", [&] {
    return job::run_main({.name = "partita-infer", .read = read_input, .run = run_inference}, argc, argv);
  });
}
