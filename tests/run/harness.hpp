/// One decomposition of one net on all ranks, step by step: its program can be changed before it runs, and
/// its kernels replaced.
#pragma once

#include <algorithm>
#include <functional>

#include "../mpi_main.hpp"
#include "cases.hpp"
#include "partita/data/sampler.hpp"
#include "partita/execute/executor.hpp"

namespace partita::tests {

class Harness {
 public:
  using Mutate = std::function<void(step::Program&)>;
  Harness(const Case& c, const Decomposition& d, kernels::Backend& backend, const Mutate& mutate = {},
          std::function<void(const step::Instruction&)> instead_of_kernels = {},
          std::int64_t largest_batch = 0)
      : case_(c),
        model_(placed(c.model, d.placing)),
        options_(by_ring(options_for(c, d))),
        plan_(plan::choose(model_, options_.split)),
        axes_(world(), plan_.grid, step::used_axes(model_, plan_)),
        format_{.type = backend.type(), .layout = backend.image_layout()},
        program_(step::build_training_program(model_, plan_, axes_.at(), format_)) {
    if (mutate) mutate(program_);
    parameters_ = std::make_unique<state::Parameters>(program_, backend.device(),
                                                      axes_.along(topology::Axis::data), options_.optimizer);
    parameters_->initialize(program_, model_, options_.initializer, options_.seed);
    executor_ = std::make_unique<execute::Executor>(
        program_, model_, backend, axes_, *parameters_,
        execute::Executor::Options{.largest_batch = largest_batch > 0
                                                        ? largest_batch
                                                        : std::min(c.batch, c.data.train.samples.value()),
                                   .instead_of_kernels = std::move(instead_of_kernels)});
  }

  /// One batch: its samples in the order of the data set.
  execute::StepSpans step(std::int64_t begin, std::int64_t samples, std::int64_t divisor) {
    std::vector<std::int64_t> indices;
    for (std::int64_t i = 0; i < samples; ++i)
      indices.push_back(begin + i);
    return step(indices, divisor);
  }
  execute::StepSpans step(std::span<const std::int64_t> indices, std::int64_t divisor) {
    execute::StepSpans spans;
    executor_->run({.dataset = &case_.data.train, .indices = indices, .divisor = divisor},
                   execute::step_values(*parameters_, options_.learning_rate.base, options_.seed, steps_++),
                   spans);
    return spans;
  }
  /// Twenty steps as `run::Training` takes them.
  void train() {
    data::Sampler sampler({.samples = case_.data.train.samples, .seed = options_.seed});
    const auto n = case_.data.train.samples.value();
    for (std::int64_t epoch = 0; steps_ < 20; ++epoch)
      for (std::int64_t begin = 0; begin < n && steps_ < 20; begin += case_.batch) {
        const auto samples = std::min(case_.batch, n - begin);
        step(sampler.order(epoch).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(samples)),
             samples);
      }
  }

  [[nodiscard]] step::Roles roles() const {
    return {plan_.grid, [this](const topology::Coordinate& role) {
              return step::build_training_program(model_, plan_, role, format_);
            }};
  }
  [[nodiscard]] std::vector<state::LogicalTensor> gather_parameters() const {
    return state::gather_logical(world(), model_, parameters_->weights_on_host(), step::owned_pieces(roles()),
                                 state::Receivers::all);
  }
  [[nodiscard]] const step::Program& program() const { return program_; }
  [[nodiscard]] const topology::Coordinate& at() const { return axes_.at(); }
  [[nodiscard]] const model::ModelSpec& model() const { return model_; }

 private:
  static Trial by_ring(Trial options) {
    options.split.algorithm = comm::Algorithm::ring;
    return options;
  }

  const Case& case_;
  model::ModelSpec model_;
  Trial options_;
  step::Plan plan_;
  comm::Axes axes_;
  step::TensorFormat format_;
  step::Program program_;
  std::unique_ptr<state::Parameters> parameters_;
  std::unique_ptr<execute::Executor> executor_;
  std::int64_t steps_ = 0;
};

}  // namespace partita::tests
