/// Runs a model forward over a data set, batch by batch and each sample once, on one rank of a grid: what the
/// evaluation of a training and an inference have in common.
#pragma once

#include <vector>

#include "partita/execute/executor.hpp"
#include "partita/step/build.hpp"

namespace partita::run {

/// The sizes of the batches that samples are cut into, each once: a whole batch, and what is left over.
std::vector<std::int64_t> batch_sizes(std::int64_t batch, std::int64_t samples);

class Evaluator {
 public:
  struct Options {
    std::int64_t samples = 0;  ///< the first ones of the data set
    std::int64_t batch = 1;    ///< of the whole grid; the last one may be smaller
    collective::DeviceMessages device_messages = collective::DeviceMessages::automatic;
    std::function<void(const execute::BatchOutputs&)> on_outputs;  ///< see `Executor::Options`
  };
  /// Plans for the sizes that batches have. What was passed outlives the evaluator. Collective over the axes
  /// of the plan.
  Evaluator(const model::ModelSpec&, const step::Plan&, const step::TensorFormat&, kernels::Backend&,
            comm::Axes&, state::Parameters&, const data::Dataset&, Options);

  [[nodiscard]] std::int64_t batches() const;
  /// Of batch `index`, within the data set.
  [[nodiscard]] topology::Range samples_of(std::int64_t index) const;
  /// One batch; what this rank has of its loss sums.
  kernels::LossSums run(std::int64_t index);

  struct Means {
    double loss = 0, accuracy = 0;
  };
  /// Of all samples, from what each rank summed up over all batches. Collective over the axes.
  Means means_of(const kernels::LossSums& sums);
  /// All batches. Collective over the axes.
  Means evaluate();

  /// Runs every transfer alone for those sizes, so that the ledger knows what a batch hides. Collective over
  /// the axes.
  void calibrate();

  [[nodiscard]] const step::Program& program() const { return program_; }
  [[nodiscard]] const execute::Executor& executor() const { return executor_; }

 private:
  const step::Plan& plan_;
  comm::Axes& axes_;
  const data::Dataset& dataset_;
  step::Program program_;
  Options options_;
  execute::Executor executor_;
  std::vector<std::int64_t> indices_;
  execute::StepSpans spans_;
};

}  // namespace partita::run
