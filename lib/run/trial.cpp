/// Binds a plan as a training does, and steps through the data set's first epoch again and again.
#include "partita/run/trial.hpp"

#include <algorithm>

namespace partita::run {
namespace {

constexpr double learning_rate = 1e-5;  // what is learned is thrown away, and must stay finite until then

}  // namespace

Trial::Trial(const model::ModelSpec& model, const step::Plan& plan, const TrainingOptions& options,
             kernels::Backend& backend, comm::Communicator& world, const data::Dataset& data)
    : world_(world),
      batch_(std::min(options.batch, data.samples.value())),
      seed_(options.seed),
      data_(data),
      axes_(world, plan.grid, step::used_axes(model, plan)),
      program_(step::build_training_program(model, plan, axes_.at(),
                                            {.type = backend.type(), .layout = backend.image_layout()})),
      parameters_(program_, backend.device(), axes_.along(topology::Axis::data), options.optimizer),
      executor_(program_, model, backend, axes_, parameters_,
                {.largest_batch = batch_,
                 .device_messages = options.device_messages,
                 .execution = options.execution}),
      sampler_({.samples = data.samples, .seed = options.seed}) {
  parameters_.initialize(program_, model, options.initializer, options.seed);
  executor_.prepare(batch_);
  executor_.record_times(&times_);
  times_.reserve(program_.instructions.size());
  sampler_.order(0);
}

double Trial::step() {
  const double begin = world_.now_seconds();
  const auto batches = data_.samples.value() / batch_;
  const auto first = static_cast<std::size_t>(steps_ % batches * batch_);
  const auto samples = sampler_.order(0).subspan(first, static_cast<std::size_t>(batch_));
  auto values = execute::step_values(parameters_, learning_rate, seed_, steps_);
  values.sample_share = 1.0 / program_.grid.data;
  executor_.run({.dataset = &data_, .indices = samples, .divisor = batch_}, values, spans_,
                step::kinds_by_use(program_.cadence).front());
  ++steps_;
  return world_.now_seconds() - begin;
}

}  // namespace partita::run
