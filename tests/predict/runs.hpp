/// Runs of small random models, as their keys say.
#pragma once

#include <map>
#include <optional>
#include <random>

#include "../models.hpp"
#include "partita/predict/search.hpp"

namespace partita::predict {

inline config::RunOptions run_of(const model::ModelSpec& model, std::int64_t batch) {
  config::RunOptions run;
  run.model = model;
  run.train.batch = batch;
  return run;
}

/// How large random runs may be.
struct RunLimits {
  int hidden_layers = 5;  ///< linear ones
  int least_batch = 4, most_batch = 40;
};

/// An MLP or a CNN of a few layers, with a batch that need not divide.
inline config::RunOptions random_run(std::mt19937& random, const RunLimits& limits = {}) {
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  std::vector<std::string> layers;
  const bool images = draw(0, 2) == 0;
  if (images) {
    layers = {"conv " + std::to_string(draw(2, 6)) + " kernel=3", "relu"};
    if (draw(0, 1) == 0) layers.emplace_back("maxpool 2");
    layers.emplace_back("flatten");
  }
  for (int l = draw(1, limits.hidden_layers); l > 0; --l) {
    layers.push_back("linear " + std::to_string(draw(2, 60)));
    if (draw(0, 1) == 0) layers.emplace_back("relu");
  }
  layers.push_back("linear " + std::to_string(draw(2, 10)));
  auto run = run_of(tests::model_of(images ? "1x9x9" : std::to_string(draw(3, 50)), layers),
                    draw(limits.least_batch, limits.most_batch));
  run.sync.bucket_bytes = kernels::Bytes(draw(0, 1) == 0 ? 512 : 1 << 20);
  return run;
}

/// Two nodes of cores that send, receive and share windows at prices of their own.
inline machine::Machine random_machine(std::mt19937& random) {
  const auto figure = [&](double least, double most) {
    return least * std::pow(most / least, std::uniform_real_distribution<double>(0, 1)(random));
  };
  machine::Machine machine{.flops_per_second = figure(1e8, 1e11),
                           .call_seconds = figure(1e-8, 1e-5),
                           .main_bytes_per_second = figure(1e9, 1e11),
                           .link_latency_seconds = 1e-6,
                           .link_bytes_per_second = 1e9};
  const auto protocol = [&] {
    return machine::Protocol{.send_seconds = figure(1e-8, 1e-6),
                             .latency_seconds = figure(1e-7, 1e-5),
                             .byte_seconds = figure(1e-11, 1e-8),
                             .receive_seconds = figure(1e-8, 1e-6)};
  };
  machine.levels = {{.name = "node", .ranks = 3, .protocols = {protocol()}},
                    {.name = "cluster", .ranks = 1000, .protocols = {protocol()}}};
  machine.windows = {{.stage_byte_seconds = figure(1e-11, 1e-9),
                      .load_byte_seconds = figure(1e-11, 1e-9),
                      .store_byte_seconds = figure(1e-11, 1e-9)}};
  machine.flag_seconds = figure(1e-8, 1e-6);
  return machine;
}

/// The run split as the candidate says, for ranks of these speeds; nothing where it refuses.
inline std::optional<Subject> subject_of_candidate(const config::RunOptions& run, const Candidate& candidate,
                                                   const machine::Machine& machine,
                                                   const std::map<int, double>& speed = {}) {
  const auto options = with(run, candidate);
  std::vector<base::Violation> violations;
  auto split = config::split_for_training(options, machine, violations, {.speed = speed});
  if (!split || !violations.empty()) return {};
  return subject_of(options, std::move(*split), machine, collective::AlgorithmTable::shipped());
}

/// The same on a grid; throws where it cannot be.
inline Subject subject_on(const config::RunOptions& run, const topology::GridExtent& grid,
                          const machine::Machine& machine, int microbatches) {
  return subject_of_candidate(run, {.grid = grid, .pipeline = {.microbatches = microbatches}}, machine)
      .value();
}

/// Of three steps of full batches.
inline Prediction prediction_of(const Subject& subject, const Supposed& supposed) {
  return predict(subject, supposed, subject.split.batch, 3);
}

}  // namespace partita::predict
