/// What one process plays of several ranks: gradients of the whole net, parameters with the states of their
/// optimizer, and batches as a training takes them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "partita/data/sampler.hpp"
#include "partita/execute/executor.hpp"
#include "partita/nn/learning_rate.hpp"
#include "trained.hpp"

namespace partita::tests {

using kernels::Elements;
using kernels::View;
using Vector = std::vector<double>;

inline View view_of(Vector& values) {
  return {values.data(), kernels::DataType::float64, Elements(std::ssize(values))};
}

/// Gradients of a whole net on one rank in float64, of any parameters and samples: by what a step of plain
/// descent at rate 1 takes from them.
class Gradients {
 public:
  Gradients(const Case& c, kernels::Backend& backend)
      : case_(c),
        plan_(plan::choose(c.model, {.batch = c.batch})),
        axes_(alone_on_this_rank(), plan_.grid, step::used_axes(c.model, plan_)),
        program_(step::build_training_program(c.model, plan_, {},
                                              {.type = backend.type(), .layout = backend.image_layout()})),
        parameters_(program_, backend.device(), axes_.along(topology::Axis::data), {}),
        executor_(program_, c.model, backend, axes_, parameters_, {.largest_batch = c.batch}) {
    parameters_.initialize(program_, c.model, model::Initializer::torch,
                           options_for(c, topology::GridExtent{}).seed);
  }

  Vector parameters() {
    const auto values = parameters_.weights_on_host().as<double>();
    return {values.begin(), values.end()};
  }
  /// Of the trained ones, which come first. The sum of losses is divided by the samples.
  Vector at(const Vector& parameters, std::span<const std::int64_t> samples) {
    parameters_.edit([&](View all, std::span<const View> states) {
      std::ranges::copy(parameters, all.as<double>().begin());
      for (const auto& state : states)
        std::ranges::fill(state.as<double>(), 0.0);
    });
    execute::StepSpans spans;
    executor_.run({.dataset = &case_.data.train, .indices = samples, .divisor = std::ssize(samples)},
                  {.learning_rate = 1}, spans);
    auto after = this->parameters();
    after.resize(static_cast<std::size_t>(program_.trained_count.value()));
    for (std::size_t i = 0; i < after.size(); ++i)
      after[i] = parameters[i] - after[i];
    return after;
  }
  [[nodiscard]] const step::Program& program() const { return program_; }

 private:
  const Case& case_;
  step::Plan plan_;
  comm::Axes axes_;
  step::Program program_;
  state::Parameters parameters_;
  execute::Executor executor_;
};

/// Parameters with the states of their optimizer, as one rank has them.
class Player {
 public:
  Player(Vector parameters, std::size_t trained, const kernels::OptimizerSpec& optimizer,
         kernels::Backend& backend)
      : w(std::move(parameters)), optimizer_(optimizer), backend_(backend), trained_(trained) {
    states.assign(kernels::states_of(optimizer.rule).size(), Vector(trained));
  }

  /// The update of this number, from 1.
  void update(Vector gradient, double rate, std::int64_t number) {
    if (optimizer_.clip_norm) {
      const double factor = kernels::clip_factor(norm(gradient), *optimizer_.clip_norm);
      for (double& g : gradient)
        g *= factor;
    }
    const auto t = static_cast<double>(number);
    const kernels::StepValues values{.learning_rate = rate,
                                     .first_correction = 1 - std::pow(optimizer_.beta1, t),
                                     .second_correction = std::sqrt(1 - std::pow(optimizer_.beta2, t))};
    double sums[2] = {};
    std::int64_t non_finite_step = -1;
    std::vector<View> of_states;
    for (auto& state : states)
      of_states.push_back(view_of(state));
    auto spec = optimizer_;
    spec.clip_norm.reset();
    backend_.update(spec, {.step = &values,
                           .sums = View(sums, kernels::DataType::float64, Elements(2)),
                           .w = view_of(w).slice(Elements(0), Elements(static_cast<std::int64_t>(trained_))),
                           .g = view_of(gradient),
                           .states = of_states,
                           .non_finite_step = &non_finite_step});
    ASSERT_EQ(non_finite_step, -1);
  }

  Vector w;
  std::vector<Vector> states;

 private:
  kernels::OptimizerSpec optimizer_;
  kernels::Backend& backend_;
  std::size_t trained_;
};

/// The batches of a training, as `run::Training` takes them.
inline std::vector<std::vector<std::int64_t>> batches_of(const Case& c, const Trial& options) {
  data::Sampler sampler({.samples = c.data.train.samples, .seed = options.seed});
  std::vector<std::vector<std::int64_t>> batches;
  const auto n = c.data.train.samples.value();
  for (std::int64_t epoch = 0; std::ssize(batches) < *options.steps; ++epoch) {
    const auto order = sampler.order(epoch);
    for (std::int64_t begin = 0; begin < n && std::ssize(batches) < *options.steps; begin += c.batch) {
      const auto samples = order.subspan(static_cast<std::size_t>(begin),
                                         static_cast<std::size_t>(std::min(c.batch, n - begin)));
      batches.emplace_back(samples.begin(), samples.end());
    }
  }
  return batches;
}
inline std::int64_t steps_of_epoch(const Case& c) {
  return (c.data.train.samples.value() + c.batch - 1) / c.batch;
}

/// From a flat vector to whole tensors.
inline Tensors tensors_of(const Gradients& gradients, const model::ModelSpec& model, Vector& w) {
  const step::Roles roles({}, [&](const topology::Coordinate&) { return gradients.program(); });
  return state::gather_logical(alone_on_this_rank(), model, view_of(w), step::owned_pieces(roles),
                               state::Receivers::all);
}

/// Nets whose passes take no sums over samples, and that leave every optimizer but those by norms as it is.
inline std::vector<std::size_t> plain_nets() {
  std::vector<std::size_t> nets;
  const auto all = cases();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& layers = all[i].model.layers;
    const bool drops = std::ranges::any_of(
        layers, [](const auto& layer) { return layer.kind == model::LayerKind::dropout; });
    if (!all[i].model.takes_statistics() && !drops) nets.push_back(i);
  }
  return nets;
}

/// With rates that differ from step to step.
inline Trial trial_of(const Case& c, const Decomposition& d) {
  auto options = options_for(c, d);
  options.learning_rate.warmup_steps = 7;
  options.learning_rate.decay = nn::Decay::step;
  options.learning_rate.step_length = 5;
  options.learning_rate.gamma = 0.5;
  return options;
}

/// Its training ends where `w` is, as far as rounding lets it: measured by how far that is from `start`.
inline void expect_ends_at(const Case& c, const Decomposition& d, const Trial& options,
                           kernels::Backend& backend, const Gradients& gradients, Vector start, Vector w) {
  const auto model = placed(c.model, d.placing);
  auto training = training_of(model, options, backend, world(), c.data);
  training.run({});
  EXPECT_TRUE(replicas_are_identical(training)) << to_string(d);
  EXPECT_LE(largest_drift(c.model, tensors_of(gradients, c.model, start), tensors_of(gradients, c.model, w),
                          training.gather_parameters(state::Receivers::all)),
            1e-10)
      << to_string(d);
}

}  // namespace partita::tests
