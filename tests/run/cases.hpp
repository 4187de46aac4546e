/// Small nets and data for training tests: every layer kind, sizes that divide nothing.
#pragma once

#include <string>
#include <vector>

#include "partita/data/synthetic.hpp"
#include "partita/model/parse.hpp"
#include "partita/run/training.hpp"

namespace partita::tests {

struct Case {
  std::string name;
  model::ModelSpec model;
  data::DataPair data;
  std::int64_t batch;
};

inline model::ModelSpec net(const std::string& input, std::vector<std::string> layers,
                            const std::string& loss = "cross-entropy") {
  std::vector<base::Violation> violations;
  auto model = model::parse_model({.name = "test", .input = input, .layers = std::move(layers), .loss = loss},
                                  violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return model;
}

inline data::DataPair random_data(data::Task task, kernels::Shape features, std::int64_t samples) {
  const data::RandomOptions options{.task = task, .features = features, .targets = {3}, .classes = 5};
  return {.train = data::make_random(options, 7, kernels::Samples(0), kernels::Samples(samples)),
          .test = data::make_random(options, 7, kernels::Samples(samples), kernels::Samples(11)),
          .sha256 = ""};
}

/// Batches of 10 over 3 ranks, of 2 over 6, ragged last batches (23 samples), every layer kind.
inline std::vector<Case> cases() {
  const auto images = [](std::int64_t n) { return random_data(data::Task::classification, {2, 9, 8}, n); };
  const auto flat = [](std::int64_t n) { return random_data(data::Task::classification, {13}, n); };
  const std::vector<std::string> mlp{"linear 11", "relu", "linear 7", "relu", "linear 5"};
  return {
      {"mlp, batch 12", net("13", mlp), flat(24), 12},
      {"mlp, batch 10 and a ragged 3", net("13", mlp), flat(23), 10},
      {"mlp, batch 2", net("13", mlp), flat(23), 2},
      {"mlp with dropout", net("13", {"linear 11", "relu", "dropout 0.3", "linear 5"}), flat(23), 10},
      {"mse", net("13", {"linear 6", "tanh", "linear 3"}, "mse"),
       random_data(data::Task::regression, {13}, 23), 10},
      {"cnn",
       net("2x9x8", {"conv 3 kernel=3 padding=1", "relu", "maxpool 2", "conv 4 kernel=2 stride=2", "relu",
                     "dropout 0.2", "flatten", "linear 5"}),
       images(23), 10},
      {"cnn of averages",
       net("2x9x8", {"conv 3 kernel=3", "avgpool 2", "tanh", "flatten", "linear 6", "relu", "linear 5"}),
       images(12), 6},
  };
}

inline run::TrainingOptions options_for(const Case& c, const topology::GridExtent& grid) {
  return {.grid = grid,
          .steps = 20,
          .batch = c.batch,
          .learning_rate = {.base = 0.05},
          .momentum = 0.9,
          .weight_decay = 1e-3,
          .seed = 3,
          .evaluate_every = 0,
          .bucket_bytes = kernels::Bytes(256)};
}

}  // namespace partita::tests
