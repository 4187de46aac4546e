/// What can only be checked once the world and the data are known.
#include <algorithm>
#include <bit>

#include "partita/config/options.hpp"

namespace partita::config {

using base::Violation;

namespace {

/// The world's prime factors, largest first, dealt to data, pipeline and tensor in turn; no more stages than
/// the layers allow. The deterministic mode has no tensor axis, and data ranks that divide its grains.
topology::GridExtent hybrid_grid(const RunOptions& options, int world) {
  std::vector<int> factors;
  for (int f = 2; world > 1; ++f)
    for (; world % f == 0; world /= f)
      factors.push_back(f);
  const int most_stages = static_cast<int>(options.model.layers.size()) / options.pipeline.chunks;
  const bool deterministic = options.train.deterministic;
  topology::GridExtent grid;
  int next = 0;
  for (auto f = factors.rbegin(); f != factors.rend(); ++f, ++next) {
    const bool fits_data = !deterministic || options.train.grains % (grid.data * *f) == 0;
    if ((next % 3 == 1 || !fits_data) && grid.pipeline * *f <= most_stages)
      grid.pipeline *= *f;
    else
      (next % 3 == 2 && !deterministic ? grid.tensor : grid.data) *= *f;
  }
  return grid;
}

topology::GridExtent grid_of(const RunOptions& options, int world) {
  switch (options.strategy) {
    case Strategy::layer:
      return {.pipeline = world};
    case Strategy::tensor:
      return {.tensor = world};
    case Strategy::hybrid:
      return hybrid_grid(options, world);
    case Strategy::data:
    case Strategy::none:
      break;
  }
  return {.data = world};
}

std::int64_t largest_share(const RunOptions& options, std::int64_t batch) {
  return (batch + options.grid.data - 1) / options.grid.data;
}

step::PipelineOptions pipeline_for(const RunOptions& options, std::int64_t batch) {
  const auto& pipeline = options.pipeline;
  const int stages = options.grid.pipeline;
  const int microbatches =
      stages == 1 ? 1 : static_cast<int>(std::min<std::int64_t>(4 * stages, largest_share(options, batch)));
  return {.schedule = pipeline.schedule,
          .microbatches = pipeline.microbatches.value_or(microbatches),
          .chunks = pipeline.chunks,
          .warmup = pipeline.warmup};
}

std::string number(std::int64_t n) { return std::to_string(n); }

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
  const auto most = largest_share(options, batch);
  if (microbatches && *microbatches > most)
    violations.push_back(
        {"pipeline.microbatches", number(*microbatches),
         "is more than the largest share of the batch on a data rank; the nearest is " + number(most)});
}

void check_chunks(const RunOptions& options, std::vector<Violation>& violations) {
  const auto& pipeline = options.pipeline;
  const bool takes_chunks =
      pipeline.schedule != step::Schedule::one_f_one_b && pipeline.schedule != step::Schedule::zb_h1;
  if (pipeline.chunks > 1 && !takes_chunks)
    violations.push_back(
        {"pipeline.chunks", number(pipeline.chunks),
         std::string(to_string(pipeline.schedule)) +
             " works on one chunk a stage; the nearest is 1, or pipeline.schedule=interleaved"});
  if (pipeline.warmup > 1 && pipeline.schedule != step::Schedule::one_f_one_b)
    violations.push_back(
        {"pipeline.warmup", number(pipeline.warmup), "belongs to pipeline.schedule=1f1b; the nearest is 1"});
}

}  // namespace

std::vector<Violation> fit_to_world(RunOptions& options, int world) {
  const bool has_grid = options.data_ranks || options.grid != topology::GridExtent{};
  if (options.strategy != Strategy::none) {
    if (has_grid)
      return {{"strategy", std::string(to_string(options.strategy)),
               "excludes grid keys: it fills in the grid for the number of ranks"}};
    options.grid = grid_of(options, world);
    options.data_ranks = options.grid.data;
  }
  const std::int64_t others = std::int64_t{options.grid.pipeline} * options.grid.tensor;
  if (!options.data_ranks) options.data_ranks = static_cast<int>(std::max<std::int64_t>(1, world / others));
  options.grid.data = *options.data_ranks;
  if (options.train.batch_per_rank) options.train.batch = *options.train.batch_per_rank * options.grid.data;
  if (options.grid.size() == world) return {};
  std::string nearest;
  for (const auto& grid : topology::nearest_grids(options.grid, world))
    nearest += (nearest.empty() ? "" : ", ") + to_string(grid);
  return {{"grid", to_string(options.grid),
           "needs " + number(options.grid.size()) + " ranks but the job has " + number(world) +
               "; the nearest valid grid is " + nearest}};
}

step::PlanOptions plan_options(const RunOptions& options) {
  auto pipeline = pipeline_for(options, options.train.batch);
  if (options.train.deterministic && !options.pipeline.microbatches)
    pipeline.microbatches = std::max(1, options.train.grains / options.grid.data);
  return {.grid = options.grid,
          .batch = options.train.batch,
          .pipeline = pipeline,
          .bucket_bytes = options.sync.bucket_bytes,
          .grains = options.train.deterministic ? options.train.grains : 0,
          .algorithm = options.sync.algorithm};
}

std::vector<Violation> check_plan(const RunOptions& options) {
  std::vector<Violation> violations;
  if (!options.train.deterministic) check_microbatches(options, options.train.batch, violations);
  check_chunks(options, violations);
  if (options.train.deterministic) check_deterministic(options, violations);
  step::plan(options.model, plan_options(options), violations);
  return violations;
}

namespace {

/// The first axis of a run whose ranks are not all on one node; none: nullopt.
std::optional<topology::Axis> spread_axis(const RunOptions& options, std::span<const int> nodes) {
  std::vector<Violation> planning;
  const auto plan = step::plan(options.model, plan_options(options), planning);
  if (!planning.empty()) return {};  // told by check_plan
  const int per_node = options.sync.ranks_per_node;
  const auto node = [&](int rank) {
    return per_node > 0 ? rank / per_node : nodes[static_cast<std::size_t>(rank)];
  };
  for (const topology::Axis axis : step::used_axes(options.model, plan)) {
    if (options.grid.along(axis) == 1) continue;
    for (int rank = 0; rank < static_cast<int>(options.grid.size()); ++rank)
      for (const int other : topology::group_of(options.grid, rank, axis))
        if (node(rank) != node(other)) return axis;
  }
  return {};
}

}  // namespace

std::vector<Violation> check_nodes(const RunOptions& options, std::span<const int> nodes) {
  std::vector<Violation> violations;
  const bool window = options.sync.algorithm == collective::Algorithm::window;
  const bool ipc = options.sync.device_messages == collective::DeviceMessages::ipc;
  if (!window && !ipc) return violations;
  const auto spread = spread_axis(options, nodes);
  if (!spread) return violations;
  const std::string needs = "needs the ranks of an axis on one node, but " + std::string(to_string(*spread)) +
                            " spans several; the nearest is ";
  if (window) violations.push_back({"sync.algorithm", "window", needs + "hierarchical"});
  if (ipc) violations.push_back({"sync.device-messages", "ipc", needs + "auto"});
  return violations;
}

step::PlanOptions inference_plan_options(const RunOptions& options) {
  constexpr std::int64_t of_data_rank = 256;
  const std::int64_t batch = options.infer.batch.value_or(of_data_rank * options.grid.data);
  return {.grid = options.grid,
          .batch = batch,
          .pipeline = pipeline_for(options, batch),
          .outputs = step::Outputs::whole,
          .algorithm = options.sync.algorithm};
}

std::vector<Violation> check_inference_plan(const RunOptions& options) {
  const auto split = inference_plan_options(options);
  std::vector<Violation> violations;
  check_microbatches(options, split.batch, violations);
  check_chunks(options, violations);
  step::plan(model::frozen(options.model), split, violations);
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
  const auto& train = options.train;
  const std::int64_t of_epoch = (data.train.samples.value() + train.batch - 1) / train.batch;
  const std::int64_t steps = train.steps.value_or(train.epochs * of_epoch);
  if (options.timeline.steps > 0 && options.timeline.first >= steps)
    violations.push_back({"timeline.first", number(options.timeline.first),
                          "the training has " + number(steps) + " steps, counted from 0; the nearest is " +
                              number(std::max<std::int64_t>(0, steps - 1))});
  return violations;
}

std::filesystem::path checkpoint_dir(const RunOptions& options) {
  if (!options.checkpoint.dir.empty() || options.output.empty()) return options.checkpoint.dir;
  const std::string name = options.output.filename().string(), ending = ".h5";
  const bool is_result = name.size() > ending.size() && name.ends_with(ending);
  return options.output.parent_path() /
         (is_result ? name.substr(0, name.size() - ending.size()) + ".checkpoints" : name + "-checkpoints");
}

}  // namespace partita::config
