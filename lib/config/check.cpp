/// What can only be checked once the world and the data are known.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "checks.hpp"
#include "partita/kernels/fixed_point.hpp"

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

std::string number(std::int64_t n) { return std::to_string(n); }

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

/// In the deterministic mode one a grain, as far as nobody says another number.
int training_microbatches(const RunOptions& options, std::int64_t batch) {
  if (options.train.deterministic && !options.pipeline.microbatches)
    return std::max(1, options.train.grains / options.grid.data);
  const std::int64_t all = std::int64_t{pipeline_for(options, batch).microbatches} *
                           (options.train.deterministic ? 1 : options.train.accumulate);
  return static_cast<int>(std::min<std::int64_t>(all, 1 << 20));  // more are refused
}

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
  const auto& layers = options.model.layers;
  if (const auto first = std::find_if(layers.begin(), layers.end(),
                                      [](const auto& layer) { return layer.takes_statistics(); });
      first != layers.end())
    violations.push_back(
        {"train.deterministic", "true",
         "excludes " + first->name +
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

}  // namespace

namespace {

/// What a search for a split cannot do.
std::vector<Violation> against_choice(const RunOptions& options) {
  std::vector<Violation> violations;
  if (options.train.batch_per_rank)
    violations.push_back(
        {"strategy", "auto",
         "excludes train.batch-per-rank: with every grid it would be another batch; give train.batch"});
  if (!options.weights.empty() || options.measures_weights)
    violations.push_back(
        {"grid.weights", options.measures_weights ? "measured" : data::to_string(options.weights),
         "excludes strategy=auto, which chooses how many data ranks there are; give a grid"});
  if (options.train.accumulate > 1 && !options.train.deterministic)
    violations.push_back({"train.accumulate", number(options.train.accumulate),
                          "excludes strategy=auto, which chooses the micro-batches; the nearest is 1"});
  if (options.sync.secure) violations.push_back(about_secure("strategy=auto"));
  if (!has_usual_steps(options))
    violations.push_back(about_cadence(
        options, "strategy=auto, whose bounds are those of data ranks and steps that are all alike"));
  return violations;
}

}  // namespace

std::vector<Violation> fit_to_world(RunOptions& options, int world) {
  const bool has_grid = options.data_ranks || options.grid != topology::GridExtent{};
  if (options.strategy != Strategy::none) {
    if (has_grid)
      return {{"strategy", std::string(to_string(options.strategy)),
               "excludes grid keys: it fills in the grid for the number of ranks"}};
    if (options.strategy == Strategy::automatic)
      if (auto violations = against_choice(options); !violations.empty()) return violations;
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

step::Cadence cadence_of(const RunOptions& options) {
  const auto& server = options.server;
  step::Cadence cadence{.local = options.sync.local,
                        .is_delayed = options.sync.delay > 0,
                        .servers = {.count = server.count,
                                    .is_asynchronous = server.count > 0 && server.is_asynchronous,
                                    .bound = server.bound,
                                    .synchronous_steps = server.synchronous_steps}};
  cadence.local.period = options.sync.local_period.value_or(0);
  cadence.local.state_vectors = static_cast<int>(kernels::states_of(options.train.optimizer.rule).size());
  return cadence;
}

bool has_usual_steps(const RunOptions& options) {
  return cadence_of(options).is_uniform() && options.server.count == 0;
}

base::Violation about_cadence(const RunOptions& options, const std::string& excluded) {
  const auto cadence = cadence_of(options);
  if (cadence.local.is_on())
    return {"sync.local.period", number(cadence.local.period),
            "excludes " + excluded + "; the nearest is without it"};
  if (!cadence.is_delayed && cadence.servers.is_on())
    return {"server.count", number(cadence.servers.count), "excludes " + excluded + "; the nearest is 0"};
  return {"sync.delay", number(options.sync.delay), "excludes " + excluded + "; the nearest is 0"};
}

base::Violation about_secure(const std::string& excluded) {
  return {"sync.secure", "true",
          "excludes " + excluded + ", which also tries fewer than 3 data ranks; the nearest is false"};
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

/// The largest rank of factors that makes a tensor of the model smaller; 0: none does.
std::int64_t largest_rank(const model::ModelSpec& model) {
  std::int64_t largest = 0;
  for (const auto& layer : model.layers)
    for (const auto& parameter : layer.parameters()) {
      if (!layer.trains(parameter)) continue;
      const auto columns = parameter.columns(), rows = parameter.shape.elements().value() / columns;
      largest = std::max(largest, (rows * columns - 1) / (2 * (rows + columns)));
    }
  return largest;
}

void check_compression(const RunOptions& options, const plan::Request& request,
                       std::vector<Violation>& violations) {
  const auto& compression = request.compression;
  if (!compression.is_on() || compression.is_secure() || request.grid.size() == 1) return;
  const auto codec = compression.codec;
  const auto refuse = [&](const std::string& what) {
    violations.push_back({"sync.compress", std::string(to_string(codec)), what});
  };
  if (request.grains > 0)
    refuse("excludes train.deterministic=true, whose sums are exact; the nearest is none");
  if (request.split != step::Split::none && !kernels::codes_values(codec))
    refuse("excludes sync.split, of whose shares it has no codes; the nearest are int8 and sign");
  else if (request.split != step::Split::none && request.grid.tensor > 1)
    refuse(
        "excludes sync.split with grid.tensor above 1, where shares of copies differ; the nearest is none");
  if (options.backend == Backend::cuda)
    refuse("needs compute.backend=cpu or reference, which have codecs; on cuda the nearest is none");
  if (codec != kernels::Codec::powersgd) return;
  const auto largest = largest_rank(options.model);
  if (largest == 0)
    refuse("makes no tensor of this model smaller; the nearest is topk");
  else if (compression.rank > largest)
    violations.push_back({"sync.powersgd-rank", number(compression.rank),
                          "makes no tensor of this model smaller; the nearest is " + number(largest)});
}

/// The most bits behind the binary point with which so many ranks may each add an element of 1; none: -1.
int most_bits(int ranks) {
  int bits = -1;
  while (kernels::largest_term(ranks) >> (bits + 1) > 0)
    ++bits;
  return bits;
}

/// What else data ranks tell each other of what they alone know, and what has no order of sums.
void check_secure(const RunOptions& options, const plan::Request& request,
                  std::vector<Violation>& violations) {
  if (!options.sync.secure) return;
  const auto refuse = [&](bool is_so, const std::string& what) {
    if (is_so) violations.push_back({"sync.secure", "true", what});
  };
  const int ranks = request.grid.data;
  refuse(ranks < 3,
         "needs groups of at least 3 data ranks, here they have " + number(ranks) +
             ": of two each learns the other's from the sum; the nearest is false, or grid.data=3");
  refuse(options.sync.compression.is_on(),
         "excludes sync.compress=" + std::string(to_string(options.sync.compression.codec)) +
             ", whose codes are in the open; the nearest is false");
  refuse(request.grains > 0,
         "excludes train.deterministic=true, which adds in floating point; the nearest is false");
  refuse(request.cadence.local.is_on(),
         "excludes sync.local.period, whose averages are of parameters; the nearest is false");
  refuse(options.backend == Backend::cuda,
         "needs compute.backend=cpu or reference, which have fixed point; on cuda the nearest is false");
  const auto statistics =
      std::ranges::find_if(options.model.layers, [](const auto& l) { return l.takes_statistics(); });
  refuse(
      statistics != options.model.layers.end(),
      "excludes " + (statistics != options.model.layers.end() ? statistics->name : "") +
          ", whose statistics data ranks add up in the open; the nearest is false, or 'frozen' on its line: "
          "then it uses running ones");
  const auto tensor = static_cast<std::int64_t>(request.grid.tensor);
  const int bits = request.compression.bits, most = most_bits(static_cast<int>(ranks * tensor));
  if (bits > most)
    violations.push_back(
        {"sync.secure-bits", number(bits),
         "leaves no room for an element of 1 from each of the up to " + number(ranks * tensor) +
             " ranks of a group, whose sum must be below 2^31; the nearest is " + number(most)});
}

void check_weights(const RunOptions& options, std::vector<Violation>& violations) {
  if (options.weights.empty() && !options.measures_weights) return;
  const auto refuse = [&](bool is_so, const std::string& what) {
    const auto value = options.measures_weights ? "measured" : data::to_string(options.weights);
    if (is_so) violations.push_back({"grid.weights", value, what});
  };
  const auto count = std::ssize(options.weights),
             workers = std::int64_t{options.grid.data} - options.server.count;
  refuse(!options.measures_weights && count != workers, "are " + number(count) +
                                                            ", but the data ranks that take samples are " +
                                                            number(workers) + "; give one for each");
  refuse(options.measures_weights && options.server.count > 0,
         "excludes server.count, whose workers take even shares; the nearest is without it");
  refuse(options.train.deterministic,
         "excludes train.deterministic=true, whose grains are even shares; the nearest is without it");
  refuse(options.measures_weights && options.automatic.replan,
         "excludes auto.replan, which changes the whole split; the nearest is without it");
}

/// Where steps are not all alike.
void check_cadence(const RunOptions& options, const plan::Request& request,
                   std::vector<Violation>& violations) {
  if (!request.cadence.local.is_on() && !request.cadence.is_delayed) return;
  const bool is_local = request.cadence.local.is_on();
  const auto refuse = [&](bool is_so, const std::string& what) {
    if (is_so) violations.push_back(about_cadence(options, what));
  };
  refuse(is_local && request.cadence.is_delayed, "sync.delay, which is of gradients that all ranks add up");
  refuse(request.grains > 0, "train.deterministic=true, which takes every step as one rank would");
  refuse(is_local && request.compression.is_on() && !request.compression.is_secure(),
         "sync.compress, whose residuals are of the step");
  refuse(!is_local && request.compression.codec == kernels::Codec::fp16,
         "sync.compress=fp16, whose scale may change before gradients are used");
  refuse(is_local && request.split != step::Split::none, "sync.split, whose ranks update shares");
  refuse(!is_local && request.split == step::Split::parameter,
         "sync.split=parameter, which gathers before use");
  refuse(options.backend == Backend::cuda, "compute.backend=cuda, which takes steps that are all alike");
  const auto statistics =
      std::ranges::find_if(options.model.layers, [](const auto& l) { return l.takes_statistics(); });
  refuse(is_local && statistics != options.model.layers.end(),
         (statistics != options.model.layers.end() ? statistics->name : "") +
             ", whose statistics are of all data ranks: 'frozen' on its line uses running ones");
}

/// In the deterministic mode sums are those of whole tensors, which no rank has the gradients of.
void check_split(const RunOptions& options, const plan::Request& request,
                 std::vector<Violation>& violations) {
  if (request.split == step::Split::none || request.grains == 0) return;
  const auto refuse = [&](const std::string& key) {
    violations.push_back({"sync.split", std::string(to_string(request.split)),
                          "excludes " + key +
                              " in the deterministic mode, where norms are those of whole "
                              "tensors; the nearest is none"});
  };
  if (request.norms.of_gradient) refuse("train.clip-norm");
  if (request.norms.of_tensors)
    refuse("train.optimizer=" + std::string(to_string(options.train.optimizer.rule)));
}

/// A tensor that ranks share has a norm that none of them knows.
void check_norms(const RunOptions& options, const plan::Request& request,
                 std::vector<Violation>& violations) {
  const int tensor = options.grid.tensor;
  if (request.norms.of_tensors && tensor > 1)
    violations.push_back({"grid.tensor", number(tensor),
                          "excludes train.optimizer=" + std::string(to_string(options.train.optimizer.rule)) +
                              ", which takes norms of whole tensors; the nearest is 1"});
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
  check_norms(options, request, violations);
  check_split(options, request, violations);
  check_compression(options, request, violations);
  check_secure(options, request, violations);
  check_cadence(options, request, violations);
  check_weights(options, violations);
  check_servers(options, violations);
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

namespace {

/// The sizes of the batches that a training takes, each once.
std::vector<std::int64_t> batch_sizes(const TrainOptions& train, kernels::Samples samples) {
  const auto n = samples.value(), of_epoch = train.steps_of_epoch(samples), steps = train.steps_on(samples);
  std::vector<std::int64_t> sizes;
  if (steps > 0) sizes.push_back(std::min(train.batch, n));
  if (of_epoch > 1 && steps >= of_epoch && n % train.batch != 0) sizes.push_back(n % train.batch);
  return sizes;
}

/// The batch nearest to that asked for of which no micro-batch is left with one sample; none: 0. A batch that
/// is larger than the data set takes the samples that one as large as it takes.
std::int64_t nearest_batch(const RunOptions& options, kernels::Samples samples) {
  const auto n = samples.value(), asked = std::min(options.train.batch, n);
  auto train = options.train;
  for (std::int64_t distance = 1; distance < n; ++distance)
    for (const auto batch : {asked + distance, asked - distance}) {
      if (batch < 2 || batch > n) continue;
      train.batch = batch;
      const auto sizes = batch_sizes(train, samples);
      if (*std::min_element(sizes.begin(), sizes.end()) >=
          std::int64_t{2} * training_microbatches(options, batch))
        return batch;
    }
  return 0;
}

}  // namespace

std::vector<Violation> check_statistics(const RunOptions& options, kernels::Samples samples) {
  const auto has_one_value = [](const model::Layer& layer) {
    return layer.takes_statistics() &&
           layer.input.elements().value() == layer.input[0];  // of a sample, in each channel
  };
  const auto& layers = options.model.layers;
  const auto first = std::find_if(layers.begin(), layers.end(), has_one_value);
  const std::int64_t batch = options.train.batch;
  const auto sizes = batch_sizes(options.train, samples);
  if (first == layers.end() || sizes.empty()) return {};
  const auto smallest = *std::min_element(sizes.begin(), sizes.end());
  const std::int64_t microbatches = training_microbatches(options, batch);
  if (smallest >= 2 * microbatches) return {};
  const std::string why =
      ": " + first->name + " needs two samples in each, of whose values it takes the deviation; ";
  if (smallest > 1)
    return {{"pipeline.microbatches", number(microbatches),
             std::string(options.pipeline.microbatches ? "" : "(the default) ") +
                 "leaves micro-batches of a batch of " + number(smallest) + " with less than two samples" +
                 why + "the nearest is " + number(smallest / 2)}};
  const auto nearest = nearest_batch(options, samples);
  return {{"train.batch", number(batch),
           "leaves a batch of one sample" + why +
               (nearest > 0 ? "the nearest is " + number(nearest) : "the data set has too few samples")}};
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
