/// Small nets and data for training tests: every layer kind, sizes that divide nothing.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "../models.hpp"
#include "partita/data/synthetic.hpp"
#include "partita/model/layer_kind.hpp"
#include "partita/plan/plan.hpp"
#include "partita/run/training.hpp"

namespace partita::tests {

struct Case {
  std::string name;
  model::ModelSpec model;
  data::DataPair data;
  std::int64_t batch;
};

inline data::DataPair random_data(data::Task task, kernels::Shape features, std::int64_t samples) {
  const data::RandomOptions options{.task = task, .features = features, .targets = {3}, .classes = 5};
  return {.train = data::make_random(options, 7, kernels::Samples(0), kernels::Samples(samples)),
          .test = data::make_random(options, 7, kernels::Samples(samples), kernels::Samples(11)),
          .sha256 = ""};
}

/// Batches of 10 over 3 ranks, of 2 over 6, ragged last batches (23 samples), every layer kind.
inline std::vector<Case> cases() {
  const auto images = [](std::int64_t n) {
    auto data = random_data(data::Task::classification, {2, 9, 8}, n);
    data.train.normalisation = data.test.normalisation = {.mean = {0.5, -0.25}, .stddev = {1.25, 0.8}};
    return data;
  };
  const auto flat = [](std::int64_t n) { return random_data(data::Task::classification, {13}, n); };
  const std::vector<std::string> mlp{"linear 11", "relu", "linear 7", "relu", "linear 5"};
  return {
      {"mlp, batch 12", model_of("13", mlp), flat(24), 12},
      {"mlp, batch 10 and a ragged 3", model_of("13", mlp), flat(23), 10},
      {"mlp, batch 2", model_of("13", mlp), flat(23), 2},
      {"mlp with dropout", model_of("13", {"linear 11", "relu", "dropout 0.3", "linear 5"}), flat(23), 10},
      {"mse", model_of("13", {"linear 6", "tanh", "linear 4", "linear 3"}, "mse"),
       random_data(data::Task::regression, {13}, 23), 10},
      {"cnn",
       model_of("2x9x8", {"conv 3 kernel=3 padding=1", "relu", "maxpool 2", "conv 4 kernel=2 stride=2",
                          "relu", "dropout 0.2", "flatten", "linear 5"}),
       images(23), 10},
      {"cnn of averages",
       model_of("2x9x8", {"conv 3 kernel=3", "avgpool 2", "tanh", "flatten", "linear 6", "relu", "linear 5"}),
       images(12), 6},
      {"cnn of wide windows",
       model_of("2x9x8", {"conv 7 kernel=7 padding=3", "maxpool 3 stride=2", "relu", "conv 3 kernel=1",
                          "tanh", "avgpool 2", "flatten", "linear 5"}),
       images(23), 10},
      {"frozen layers",
       model_of("2x9x8", {"conv 3 kernel=3 stride=2 frozen", "relu", "maxpool 2", "flatten", "linear 6",
                          "relu", "linear 7 frozen", "tanh", "linear 5"}),
       images(23), 10},
      {"cnn of oblong windows",
       model_of("2x9x8",
                {"conv 4 kernel=3x5 padding=same bias=false", "relu", "avgpool 3x2 stride=2x1",
                 "conv 5 kernel=2x3 stride=1x2 padding=1x0 bias=false", "tanh", "maxpool 2x1 stride=1",
                 "avgpool global", "flatten", "linear 6 bias=false", "tanh", "linear 5"}),
       images(23), 10},
      {"batch normalisation",
       model_of("2x9x8", {"conv 4 kernel=3 padding=1 bias=false", "batchnorm", "relu", "maxpool 2",
                          "conv 5 kernel=2 bias=false", "batchnorm affine=false momentum=0.3", "tanh",
                          "flatten", "linear 7 bias=false", "batchnorm eps=0.01", "relu", "linear 5"}),
       images(100), 60},
  };
}

/// How the layers of a net are to lie on the tensor axis: as is cheapest, all in one way where they can, or
/// Krizhevsky's trick: images cut by samples, flat layers by features.
enum class Placing { cheapest, replicated, batch, column, row, height, weird_trick };

inline model::ModelSpec placed(model::ModelSpec model, Placing placing) {
  static constexpr const char* names[] = {"", "replicated", "batch", "column", "row", "height", ""};
  for (auto& layer : model.layers) {
    const bool image = layer.input.rank() == 3;
    if (placing == Placing::weird_trick) layer.placement = image ? "batch" : "column";
    const std::string_view name = names[static_cast<std::size_t>(placing)];
    const auto& can = layer.description().placements;
    if (std::find(can.begin(), can.end(), name) == can.end() || (placing == Placing::height && !image))
      continue;
    layer.placement = name;
  }
  return model;
}

/// The optimizers of trainings. ε is far above rounding: without it an element whose gradient is nothing but
/// rounding moves as far as any other.
inline kernels::OptimizerSpec optimizer(kernels::OptimizerRule rule) {
  using Rule = kernels::OptimizerRule;
  kernels::OptimizerSpec spec{.rule = rule, .momentum = 0.9, .weight_decay = 1e-3, .trust = 0.1};
  if (kernels::describe(rule).takes_betas) spec = {.rule = rule, .weight_decay = 1e-2, .epsilon = 1e-4};
  if (rule == Rule::nesterov || rule == Rule::adamw || rule == Rule::lamb) spec.clip_norm = 0.5;
  return spec;
}
inline constexpr kernels::OptimizerRule optimizer_rules[] = {
    kernels::OptimizerRule::sgd,   kernels::OptimizerRule::nesterov, kernels::OptimizerRule::lamb,
    kernels::OptimizerRule::adamw, kernels::OptimizerRule::adam,     kernels::OptimizerRule::lars};
/// Norms of tensors are those of whole ones.
inline bool can_split(kernels::OptimizerRule rule, const topology::GridExtent& grid) {
  return grid.tensor == 1 || !kernels::describe(rule).takes_norms;
}

/// One decomposition of one net.
struct Decomposition {
  std::size_t net;  ///< of `cases()`
  topology::GridExtent grid;
  step::Schedule schedule;
  int microbatches;
  Placing placing;
  kernels::OptimizerRule rule = kernels::OptimizerRule::sgd;
  step::Split split = step::Split::none;
  step::Gather gather = step::Gather::use;
  step::Compression compression = {};
  step::Cadence cadence = {};
  step::Weights weights = {};
};

/// What ranks can have shares of, and when they gather what they have shares of.
inline constexpr std::pair<step::Split, step::Gather> splits[] = {
    {step::Split::none, step::Gather::use},
    {step::Split::state, step::Gather::use},
    {step::Split::gradient, step::Gather::use},
    {step::Split::parameter, step::Gather::use},
    {step::Split::parameter, step::Gather::step}};

/// Each with another optimizer and another split than the one before it, where it can.
inline std::vector<Decomposition> with_choices_in_turn(std::vector<Decomposition> all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (const auto rule = optimizer_rules[i % std::size(optimizer_rules)]; can_split(rule, all[i].grid))
      all[i].rule = rule;
    std::tie(all[i].split, all[i].gather) = splits[i % std::size(splits)];
  }
  return all;
}

/// Codecs, small enough for these nets.
inline step::Compression compressed(kernels::Codec codec, bool residuals = true) {
  return {.codec = codec, .ratio = 0.1, .rank = 1, .residuals = residuals};
}
inline constexpr kernels::Codec codecs[] = {kernels::Codec::bf16, kernels::Codec::topk,
                                            kernels::Codec::int8, kernels::Codec::powersgd,
                                            kernels::Codec::sign, kernels::Codec::fp16};
/// Each by another codec than the one before it.
inline std::vector<Decomposition> with_codecs_in_turn(std::vector<Decomposition> all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].compression = compressed(codecs[i % std::size(codecs)], i % 4 != 3);
    if (!kernels::codes_values(all[i].compression.codec) || all[i].grid.tensor > 1)
      all[i].split = step::Split::none;
  }
  return all;
}

/// Each with data ranks of other weights than the one before it, some of which leave a rank without samples.
inline std::vector<Decomposition> with_weights_in_turn(std::vector<Decomposition> all) {
  constexpr std::int64_t primes[] = {3, 1, 7, 2, 100, 5, 1, 13, 4};
  std::size_t next = 0;
  for (auto& d : all)
    for (int rank = 0; rank < d.grid.data; ++rank)
      d.weights.push_back(primes[next++ % std::size(primes)]);
  return all;
}

/// One data axis, of which the last ranks serve the others.
inline Decomposition with_servers(std::size_t net, int ranks, const step::Servers& servers,
                                  kernels::OptimizerRule rule = kernels::OptimizerRule::sgd) {
  Decomposition d{.net = net,
                  .grid = {.data = ranks},
                  .schedule = step::Schedule::one_f_one_b,
                  .microbatches = 1,
                  .placing = Placing::cheapest,
                  .rule = rule,
                  .cadence = {.servers = servers}};
  d.weights.assign(static_cast<std::size_t>(ranks - servers.count), 1);
  d.weights.insert(d.weights.end(), static_cast<std::size_t>(servers.count), 0);
  return d;
}

/// Each in turn with delayed updates, and with local steps of several kinds, where it can.
inline std::vector<Decomposition> with_cadences_in_turn(std::vector<Decomposition> all) {
  using step::LocalStates;
  const auto nets = cases();
  std::vector<Decomposition> some;
  for (auto& d : all) {
    const auto number = some.size();
    d.compression = {};
    if (number % 2 == 0) {
      d.cadence.is_delayed = true;
      if (d.split == step::Split::none || d.grid.tensor == 1)
        d.compression = compressed(number % 4 == 0 ? kernels::Codec::int8 : kernels::Codec::sign);
      if (d.split == step::Split::parameter) d.split = step::Split::state;
    } else if (d.grid.data > 1 && !nets[d.net].model.takes_statistics()) {
      d.split = step::Split::none;
      d.cadence.local = {.period = 1 + static_cast<std::int64_t>(number / 2 % 3),
                         .start = static_cast<std::int64_t>(number / 2 % 2),
                         .states = static_cast<LocalStates>(number / 2 % 3)};
      if (number % 4 == 3) d.cadence.local.outer_rate = 0.7, d.cadence.local.outer_momentum = 0.9;
    } else {
      continue;
    }
    some.push_back(d);
  }
  return some;
}

inline std::string to_string(const Decomposition& d) {
  return cases()[d.net].name + ", " + to_string(d.grid) + ", " + std::string(step::to_string(d.schedule)) +
         " of " + std::to_string(d.microbatches) + ", placing " +
         std::to_string(static_cast<int>(d.placing)) + ", " + std::string(to_string(d.rule)) + ", split of " +
         std::string(to_string(d.split)) + " gathered by " + std::string(to_string(d.gather)) + ", sent by " +
         std::string(to_string(d.compression.codec)) + (d.weights.empty() ? "" : ", weighted") +
         (d.cadence.is_delayed ? ", delayed" : "") +
         (d.cadence.local.is_on() ? ", averaged after " + std::to_string(d.cadence.local.period) +
                                        " steps, states " + std::string(to_string(d.cadence.local.states))
                                  : "") +
         (d.cadence.servers.is_on() ? ", updated by " + std::to_string(d.cadence.servers.count) + " servers"
                                    : "");
}

/// How a net is split, and how it is trained.
struct Trial : run::TrainingOptions {
  plan::Request split;
};

/// A training of the model, by a plan for what the trial asks for.
inline run::Training training_of(const model::ModelSpec& model, const Trial& trial, kernels::Backend& backend,
                                 comm::Communicator& ranks, const data::DataPair& data) {
  return {model, plan::choose(model, trial.split), trial, backend, ranks, data};
}

inline Trial options_for(const Case& c, const topology::GridExtent& grid,
                         kernels::OptimizerRule rule = kernels::OptimizerRule::sgd) {
  return {{.batch = c.batch,
           .steps = 20,
           .learning_rate = {.base = kernels::describe(rule).takes_betas ? 0.005 : 0.05},
           .optimizer = optimizer(rule),
           .seed = 3,
           .evaluate_every = 0,
           .poison_released = true},
          {.grid = grid,
           .batch = c.batch,
           .bucket_bytes = kernels::Bytes(256),
           .norms = step::norms_of(optimizer(rule))}};
}

/// Options and model of a decomposition; two chunks a stage for interleaving where there are layers enough.
inline Trial options_for(const Case& c, const Decomposition& d) {
  auto options = options_for(c, d.grid, d.rule);
  const bool twice = d.schedule == step::Schedule::interleaved &&
                     2 * d.grid.pipeline <= static_cast<int>(c.model.layers.size());
  options.split.split = d.split;
  options.split.gather = d.gather;
  options.split.compression = d.compression;
  options.split.cadence = d.cadence;
  options.split.weights = d.weights;
  options.split.cadence.local.state_vectors = static_cast<int>(kernels::states_of(d.rule).size());
  options.split.pipeline = {.schedule = d.schedule, .microbatches = d.microbatches, .chunks = twice ? 2 : 1};
  return options;
}

}  // namespace partita::tests
