/// What can only be checked once the world and the data are known.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "checks.hpp"

namespace partita::config {

using base::Violation;

step::Weights weights_of(const RunOptions& options) {
  constexpr double parts = 1e6;  // of the largest
  const double largest = options.weights.empty() ? 1 : *std::ranges::max_element(options.weights);
  step::Weights weights;
  std::int64_t divisor = 0;
  for (const double weight : options.weights) {
    weights.push_back(std::max<std::int64_t>(1, std::llround(parts * weight / largest)));
    divisor = std::gcd(divisor, weights.back());
  }
  for (auto& weight : weights)
    weight /= divisor;
  const bool alike = std::ranges::count(weights, 1) == std::ssize(weights);
  return alike ? step::Weights() : weights;
}

namespace {

plan::GridLimits limits_of(const RunOptions& options) {
  return {.most_stages = static_cast<int>(options.model.layers.size()) / options.pipeline.chunks,
          .grains = options.train.deterministic ? options.train.grains : 0,
          .whole_tensors = step::norms_of(options.train.optimizer).of_tensors};
}

/// None that do not fit the grid, which is a violation of its own.
step::Weights weights_for(const RunOptions& options) {
  const int servers = options.server.count, workers = options.grid.data - servers;
  auto weights = weights_of(options);
  if (std::ssize(weights) != workers) weights.clear();
  if (servers == 0 || workers < 1) return weights;
  if (weights.empty()) weights.assign(static_cast<std::size_t>(workers), 1);
  weights.insert(weights.end(), static_cast<std::size_t>(servers), 0);
  return weights;
}

step::PipelineOptions pipeline_for(const RunOptions& options, std::int64_t batch) {
  const auto& pipeline = options.pipeline;
  return {.schedule = pipeline.schedule,
          .microbatches = pipeline.microbatches.value_or(
              plan::default_microbatches(options.grid, weights_for(options), batch)),
          .chunks = pipeline.chunks,
          .warmup = pipeline.warmup};
}

}  // namespace

int training_microbatches(const RunOptions& options, std::int64_t batch) {
  if (options.train.deterministic && !options.pipeline.microbatches)
    return std::max(1, options.train.grains / options.grid.data);
  const std::int64_t all = std::int64_t{pipeline_for(options, batch).microbatches} *
                           (options.train.deterministic ? 1 : options.train.accumulate);
  return static_cast<int>(std::min<std::int64_t>(all, 1 << 20));  // more are refused
}

namespace {

/// The divisor of the grains that is nearest to the data ranks.
int nearest_divisor(int grains, int data) {
  int nearest = 1;
  for (int d = 1; d <= grains; ++d)
    if (grains % d == 0 && std::abs(d - data) < std::abs(nearest - data)) nearest = d;
  return nearest;
}

int nearest_power_of_two(int n) {
  const auto below = static_cast<int>(std::bit_floor(static_cast<unsigned>(n)));
  return n - below <= 2 * below - n ? below : 2 * below;
}

void check_deterministic(const RunOptions& options, std::vector<Violation>& violations) {
  const int grains = options.train.grains, data = options.grid.data;
  if (const auto layer = layer_with_statistics(options.model); !layer.empty())
    violations.push_back(
        {"train.deterministic", "true",
         "excludes " + layer +
             ", whose statistics are of a micro-batch, another one on each grid; the nearest is false, or "
             "'frozen' on its line: then it uses running ones"});
  if (options.grid.tensor > 1)
    violations.push_back(
        {"train.deterministic", "true",
         "excludes a tensor axis, whose sums depend on the number of its ranks; the nearest is "
         "grid.tensor=1"});
  const auto algorithm = options.sync.algorithm;
  if (algorithm != collective::Algorithm::automatic && algorithm != collective::Algorithm::recursive_doubling)
    violations.push_back({"sync.algorithm", std::string(to_string(algorithm)),
                          "excludes train.deterministic, whose ranks combine nearest first; the nearest is "
                          "recursive-doubling, which auto stands for there"});
  if (!std::has_single_bit(static_cast<unsigned>(grains)))
    violations.push_back({"train.grains", number(grains),
                          "must be a power of two; the nearest is " + number(nearest_power_of_two(grains))});
  else if (grains % data != 0)
    violations.push_back({"grid.data", number(data),
                          "must divide the " + number(grains) +
                              " grains of the deterministic mode; the nearest is " +
                              number(nearest_divisor(grains, data))});
  else if (options.pipeline.microbatches && *options.pipeline.microbatches != grains / data)
    violations.push_back(
        {"pipeline.microbatches", number(*options.pipeline.microbatches),
         "in the deterministic mode each grain is a micro-batch: the nearest is " + number(grains / data)});
}

void check_microbatches(const RunOptions& options, std::int64_t batch, std::vector<Violation>& violations) {
  const auto& microbatches = options.pipeline.microbatches;
  const auto most = step::largest_share(options.grid, weights_for(options), batch);
  if (microbatches && *microbatches > most)
    violations.push_back(
        {"pipeline.microbatches", number(*microbatches),
         "is more than the largest share of the batch on a data rank; the nearest is " + number(most)});
}

void check_accumulation(const RunOptions& options, std::vector<Violation>& violations) {
  const std::int64_t most = step::largest_share(options.grid, weights_for(options), options.train.batch),
                     each = pipeline_for(options, options.train.batch).microbatches;
  if (options.train.accumulate > 1 && each * options.train.accumulate > most)
    violations.push_back(
        {"train.accumulate", number(options.train.accumulate),
         "times " + number(each) +
             " micro-batches is more than the largest share of the batch on a data rank; the "
             "nearest is " +
             number(std::max<std::int64_t>(1, most / each))});
}

void check_chunks(const RunOptions& options, std::vector<Violation>& violations) {
  const auto& pipeline = options.pipeline;
  if (pipeline.chunks > 1 && !step::takes_chunks(pipeline.schedule))
    violations.push_back(
        {"pipeline.chunks", number(pipeline.chunks),
         std::string(to_string(pipeline.schedule)) +
             " works on one chunk a stage; the nearest is 1, or pipeline.schedule=interleaved"});
  if (pipeline.warmup > 1 && pipeline.schedule != step::Schedule::one_f_one_b)
    violations.push_back(
        {"pipeline.warmup", number(pipeline.warmup), "belongs to pipeline.schedule=1f1b; the nearest is 1"});
}

/// What a search for a split cannot do.
}  // namespace

std::vector<Violation> against_choice(const RunOptions& options, const std::string& who) {
  std::vector<Violation> violations;
  if (options.train.batch_per_rank)
    violations.push_back(
        {"train.batch-per-rank", number(*options.train.batch_per_rank),
         "excludes " + who + ": with every grid it would be another batch; give train.batch"});
  if (!options.weights.empty() || options.measures_weights)
    violations.push_back(
        {"grid.weights", text_of_weights(options),
         "excludes " + who +
             ", which chooses how many data ranks there are, and their shares; the nearest is without it"});
  if (options.train.accumulate > 1 && !options.train.deterministic)
    violations.push_back({"train.accumulate", number(options.train.accumulate),
                          "excludes " + who + ", which chooses the micro-batches; the nearest is 1"});
  if (options.sync.secure) violations.push_back(about_secure(who));
  if (!has_usual_steps(options))
    violations.push_back(
        about_cadence(options, who + ", whose bounds are those of data ranks and steps that are all alike"));
  return violations;
}

std::vector<Violation> fit_to_world(RunOptions& options, int world) {
  const bool has_grid = options.data_ranks || options.grid != topology::GridExtent{};
  if (options.strategy != Strategy::none) {
    if (has_grid)
      return {{"strategy", std::string(to_string(options.strategy)),
               "excludes grid keys: it fills in the grid for the number of ranks"}};
    if (options.strategy == Strategy::automatic)
      if (auto violations = against_choice(options, "strategy=auto"); !violations.empty()) return violations;
    options.grid = plan::grid_of(options.strategy, world, limits_of(options));
    options.data_ranks = options.grid.data;
  }
  const std::int64_t others = std::int64_t{options.grid.pipeline} * options.grid.tensor;
  if (!options.data_ranks) options.data_ranks = static_cast<int>(std::max<std::int64_t>(1, world / others));
  options.grid.data = *options.data_ranks;
  if (options.train.batch_per_rank)
    options.train.batch =
        *options.train.batch_per_rank * std::max(1, options.grid.data - options.server.count);
  if (options.grid.size() == world) return {};
  std::string nearest;
  for (const auto& grid : topology::nearest_grids(options.grid, world))
    nearest += (nearest.empty() ? "" : ", ") + to_string(grid);
  return {{"grid", to_string(options.grid),
           "needs " + number(options.grid.size()) + " ranks but the job has " + number(world) +
               "; the nearest valid grid is " + nearest}};
}

namespace {

step::Compression compression_of(const SyncOptions& sync) {
  auto compression = sync.compression;
  if (sync.secure) compression.codec = kernels::Codec::secure;
  const bool halves = compression.codec == kernels::Codec::bf16 || compression.codec == kernels::Codec::fp16;
  compression.residuals =
      sync.error_feedback == ErrorFeedback::automatic ? !halves : sync.error_feedback == ErrorFeedback::on;
  return compression;
}

/// In the deterministic mode one micro-batch a grain.
plan::Request training_request(const RunOptions& options) {
  auto pipeline = pipeline_for(options, options.train.batch);
  pipeline.microbatches = training_microbatches(options, options.train.batch);
  return {.grid = options.grid,
          .batch = options.train.batch,
          .pipeline = pipeline,
          .bucket_bytes = options.sync.bucket_bytes,
          .grains = options.train.deterministic ? options.train.grains : 0,
          .algorithm = options.sync.algorithm,
          .norms = step::norms_of(options.train.optimizer),
          .split = options.sync.split,
          .gather = options.sync.gather,
          .compression = compression_of(options.sync),
          .cadence = cadence_of(options),
          .weights = weights_for(options)};
}

plan::Request inference_request(const RunOptions& options) {
  constexpr std::int64_t of_data_rank = 256;
  const std::int64_t batch = options.infer.batch.value_or(of_data_rank * options.grid.data);
  return {.grid = options.grid,
          .batch = batch,
          .pipeline = pipeline_for(options, batch),
          .outputs = plan::Outputs::whole,
          .algorithm = options.sync.algorithm};
}

std::optional<plan::Split> split(model::ModelSpec model, const plan::Request& request,
                                 const machine::Machine& machine, std::vector<Violation>& violations,
                                 const plan::Chosen& chosen = {}) {
  const auto before = violations.size();
  auto plan = plan::choose(model, request, chosen, machine, violations);
  if (violations.size() > before) return {};
  return plan::Split{.model = std::move(model), .plan = std::move(plan), .batch = request.batch};
}

}  // namespace

std::optional<plan::Split> split_for_training(const RunOptions& options, const machine::Machine& machine,
                                              std::vector<Violation>& violations, const KnownSplit& known) {
  if (!options.train.deterministic) {
    check_microbatches(options, options.train.batch, violations);
    check_accumulation(options, violations);
  }
  check_chunks(options, violations);
  if (options.train.deterministic) check_deterministic(options, violations);
  auto request = training_request(options);
  check_synchronisation(options, request, violations);
  request.speed = known.speed;
  return split(options.model, request, machine, violations, {known.placement, known.partition});
}

std::optional<plan::Split> split_for_inference(const RunOptions& options, const machine::Machine& machine,
                                               std::vector<Violation>& violations) {
  const auto request = inference_request(options);
  check_microbatches(options, request.batch, violations);
  check_chunks(options, violations);
  return split(model::frozen(options.model), request, machine, violations);
}

namespace {

/// The first axis of a run whose ranks are not all on one node; none: nullopt.
std::optional<topology::Axis> spread_axis(const RunOptions& options, const plan::Split& split,
                                          std::span<const int> nodes) {
  std::vector<int> node_of(nodes.begin(), nodes.end());
  if (const int per_node = options.sync.ranks_per_node; per_node > 0) {
    node_of.resize(static_cast<std::size_t>(split.plan.grid.size()));
    for (std::size_t r = 0; r < node_of.size(); ++r)
      node_of[r] = static_cast<int>(r) / per_node;
  }
  for (const topology::Axis axis : step::used_axes(split.model, split.plan))
    if (topology::spans_nodes(split.plan.grid, axis, node_of)) return axis;
  return {};
}

}  // namespace

std::vector<Violation> check_nodes(const RunOptions& options, const plan::Split& split,
                                   std::span<const int> nodes) {
  std::vector<Violation> violations;
  const bool window = options.sync.algorithm == collective::Algorithm::window;
  const bool ipc = options.sync.device_messages == collective::DeviceMessages::ipc;
  if (!window && !ipc) return violations;
  const auto spread = spread_axis(options, split, nodes);
  if (!spread) return violations;
  const std::string needs = "needs the ranks of an axis on one node, but " + std::string(to_string(*spread)) +
                            " spans several; the nearest is ";
  if (window) violations.push_back({"sync.algorithm", "window", needs + "hierarchical"});
  if (ipc) violations.push_back({"sync.device-messages", "ipc", needs + "auto"});
  return violations;
}

std::vector<Violation> check_data(const RunOptions& options, const data::DataPair& data) {
  std::vector<Violation> violations;
  const auto& model = options.model;
  if (model.input != data.train.sample_shape)
    violations.push_back({"model.input", to_string(model.input),
                          "the samples of " + data.train.name + " have shape " +
                              to_string(data.train.sample_shape) +
                              (model.input.elements() == data.train.sample_shape.elements()
                                   ? "; use that as input and begin with a flatten layer"
                                   : "")});
  const auto outputs = model.layers.back().output.elements().value();
  const bool classifies = data.train.task == data::Task::classification;
  if (classifies != (model.loss == model::Loss::cross_entropy))
    violations.push_back(
        {"model.loss", std::string(to_string(model.loss)),
         data.train.name + " has " + (classifies ? "labels: use cross-entropy" : "targets: use mse")});
  else if (classifies && outputs < data.train.classes)
    violations.push_back({"model.layer", model.layers.back().line(),
                          "the last layer has " + std::to_string(outputs) + " outputs, " + data.train.name +
                              " has " + std::to_string(data.train.classes) + " classes"});
  else if (!classifies && outputs != data.train.target_shape.elements().value())
    violations.push_back({"model.layer", model.layers.back().line(),
                          "the last layer has " + std::to_string(outputs) + " outputs, a target of " +
                              data.train.name + " has " +
                              std::to_string(data.train.target_shape.elements().value()) + " elements"});
  const std::int64_t steps = options.train.steps_on(data.train.samples);
  if (options.timeline.steps > 0 && options.timeline.first >= steps)
    violations.push_back({"timeline.first", number(options.timeline.first),
                          "the training has " + number(steps) + " steps, counted from 0; the nearest is " +
                              number(std::max<std::int64_t>(0, steps - 1))});
  return violations;
}

std::int64_t TrainOptions::steps_of_epoch(kernels::Samples samples) const {
  return (samples.value() + batch - 1) / batch;
}

std::int64_t TrainOptions::steps_on(kernels::Samples samples) const {
  return steps.value_or(epochs * steps_of_epoch(samples));
}

std::filesystem::path checkpoint_dir(const RunOptions& options) {
  if (!options.checkpoint.dir.empty() || options.output.empty()) return options.checkpoint.dir;
  const std::string name = options.output.filename().string(), ending = ".h5";
  const bool is_result = name.size() > ending.size() && name.ends_with(ending);
  return options.output.parent_path() /
         (is_result ? name.substr(0, name.size() - ending.size()) + ".checkpoints" : name + "-checkpoints");
}

}  // namespace partita::config
