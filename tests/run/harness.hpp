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
  struct Options {
    Mutate mutate = {};
    std::function<void(const step::Instruction&)> instead_of_kernels = {};
    std::int64_t largest_batch = 0;  ///< 0: the case's
    comm::Algorithm algorithm = comm::Algorithm::ring;
    int chunks = 0, warmup = 1;  ///< chunks: 0: as `options_for` says
    comm::Axes* axes = nullptr;  ///< null: own ones, of all ranks
  };
  Harness(const Case& c, const Decomposition& d, kernels::Backend& backend)
      : Harness(c, d, backend, Options{}) {}
  Harness(const Case& c, const Decomposition& d, kernels::Backend& backend, Options options)
      : case_(c),
        model_(placed(c.model, d.placing)),
        options_(trial(c, d, options)),
        plan_(plan::choose(model_, options_.split)),
        own_axes_(options.axes
                      ? nullptr
                      : std::make_unique<comm::Axes>(world(), plan_.grid, step::used_axes(model_, plan_))),
        axes_(options.axes ? *options.axes : *own_axes_),
        format_{.type = backend.type(), .layout = backend.image_layout()},
        program_(step::build_training_program(model_, plan_, axes_.at(), format_)) {
    if (options.mutate) options.mutate(program_);
    parameters_ = std::make_unique<state::Parameters>(program_, backend.device(),
                                                      axes_.along(topology::Axis::data), options_.optimizer);
    parameters_->initialize(program_, model_, options_.initializer, options_.seed);
    executor_ = std::make_unique<execute::Executor>(
        program_, model_, backend, axes_, *parameters_,
        execute::Executor::Options{.largest_batch = options.largest_batch > 0
                                                        ? options.largest_batch
                                                        : std::min(c.batch, c.data.train.samples.value()),
                                   .instead_of_kernels = std::move(options.instead_of_kernels)});
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
    const auto kind = kind_of(
        plan_.cadence, {.step = since_, .step_of_epoch = since_, .is_last = false, .before = waiting_});
    ++since_;
    if (plan_.cadence.is_delayed) waiting_ = kind;
    kinds_.push_back(kind);
    executor_->run({.dataset = &case_.data.train, .indices = indices, .divisor = divisor},
                   execute::step_values(*parameters_, options_.learning_rate.base, options_.seed, steps_++),
                   spans, kind);
    return spans;
  }
  /// As if no step had been taken; the kinds of those that were.
  std::vector<step::StepKind> begin_again() {
    executor_->settle();
    waiting_.reset();
    since_ = 0;
    return std::exchange(kinds_, {});
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
    return state::gather_logical(axes_.world(), model_, parameters_->weights_on_host(),
                                 step::owned_pieces(roles()), state::Receivers::all);
  }
  [[nodiscard]] const step::Program& program() const { return program_; }
  [[nodiscard]] execute::Executor& executor() { return *executor_; }
  [[nodiscard]] state::Parameters& parameters() { return *parameters_; }
  [[nodiscard]] comm::Axes& axes() { return axes_; }
  /// Where programs run, as the executor sees it.
  [[nodiscard]] step::Site site() const {
    const auto nodes = axes_.world().nodes();
    return {.node_of = {nodes.begin(), nodes.end()}, .table = axes_.world().table()};
  }
  [[nodiscard]] const topology::Coordinate& at() const { return axes_.at(); }
  [[nodiscard]] const model::ModelSpec& model() const { return model_; }

 private:
  static Trial trial(const Case& c, const Decomposition& d, const Options& options) {
    auto trial = options_for(c, d);
    trial.split.algorithm = options.algorithm;
    trial.split.pipeline.warmup = options.warmup;
    if (options.chunks > 0) trial.split.pipeline.chunks = options.chunks;
    return trial;
  }

  const Case& case_;
  model::ModelSpec model_;
  Trial options_;
  step::Plan plan_;
  std::unique_ptr<comm::Axes> own_axes_;
  comm::Axes& axes_;
  step::TensorFormat format_;
  step::Program program_;
  std::unique_ptr<state::Parameters> parameters_;
  std::unique_ptr<execute::Executor> executor_;
  std::int64_t steps_ = 0;
  std::int64_t since_ = 0;  ///< the beginning
  std::optional<step::StepKind> waiting_;
  std::vector<step::StepKind> kinds_;  ///< of the steps since then
};

}  // namespace partita::tests
