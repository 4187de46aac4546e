/// A search predicts, a race among its best decides.
#include "choice.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>

#include "partita/base/clock.hpp"
#include "partita/results/statistics.hpp"
#include "partita/run/trial.hpp"

namespace partita::job {
namespace {

/// Of a turn; the first one of a plan's first turn finds caches cold and is left out.
constexpr int steps_of_turn = 3;

std::optional<plan::Split> split_of(const Input& input, std::size_t plan,
                                    std::vector<base::Violation>& violations) {
  const auto options = predict::with(input.unsplit(), input.plans[plan].candidate);
  return config::split_for_training(options, input.machine, violations);
}

Input split_by(Input input, std::size_t plan) {
  input.split = split_of(input, plan, input.violations);
  input.options = predict::with(input.unsplit(), input.plans[plan].candidate);
  for (std::size_t p = 0; p < input.plans.size(); ++p)
    input.plans[p].row.chosen = p == plan;
  return input;
}

}  // namespace

config::RunOptions Input::unsplit() const {
  auto run = options;
  run.strategy = config::Strategy::none;
  if (given) {
    run.model = given->model;
    run.model_text = given->text;
  }
  return run;
}

void choose_plan(Input& input, int world_size) {
  const double begin = base::now_seconds();
  const auto raced = static_cast<std::size_t>(input.options.automatic.candidates);
  input.given = GivenModel{input.options.model, input.options.model_text};
  const auto plans = predict::search(input.unsplit(), world_size, input.machine, input.table,
                                     {.top = raced, .pipelines = raced});
  for (const auto* outcome : predict::contenders(plans, raced))
    input.plans.push_back(
        {.candidate = outcome->candidate,
         .row = {.plan = outcome->candidate.name(), .predicted_seconds = *outcome->step_seconds}});
  if (input.plans.empty())
    input.violations.push_back(
        {"strategy", "auto", "finds no split of this training for " + std::to_string(world_size) + " ranks"});
  else
    input = split_by(std::move(input), 0);
  input.planning_seconds = base::now_seconds() - begin;
}

int rounds_of_race(const Input& input) {
  if (input.plans.size() < 2) return 0;
  if (input.options.automatic.measure) return *input.options.automatic.measure;
  constexpr std::int64_t most_rounds = 3, steps_for_one = 200;  // half a percent
  const std::int64_t least_rounds = input.machine.kernels.empty() ? 1 : 0;
  const auto steps = input.options.train.steps_on(input.data->train.samples);
  const auto of_round = static_cast<std::int64_t>(input.plans.size()) * steps_of_turn;
  return static_cast<int>(std::clamp(steps / (steps_for_one * of_round), least_rounds, most_rounds));
}

Input race_plans(const Job& job, const run::TrainingOptions& training, kernels::Backend& backend) {
  const double begin = base::now_seconds();
  const auto& data = job.input.data->train;
  auto input = job.input;
  auto& world = job.world;
  std::deque<plan::Split> splits;  // trials refer to their models
  std::vector<std::unique_ptr<run::Trial>> trials;
  for (std::size_t p = 0; p < input.plans.size(); ++p) {
    const auto& split = splits.emplace_back(split_of(input, p, input.violations).value());
    trials.push_back(std::make_unique<run::Trial>(split.model, split.plan, training, backend, world, data));
    trials.back()->step();
  }
  std::vector<std::vector<double>> seconds(trials.size());
  for (int round = rounds_of_race(input); round > 0; --round)
    for (std::size_t p = 0; p < trials.size(); ++p)
      for (int s = 0; s < steps_of_turn; ++s) {
        double slowest = trials[p]->step();
        world.all_reduce(std::span(&slowest, 1), comm::Combine::max, collective::Purpose::control);
        seconds[p].push_back(slowest);
      }
  std::size_t best = 0;
  for (std::size_t p = 0; p < trials.size(); ++p) {
    input.plans[p].row.measured_seconds = results::median(seconds[p]);
    if (input.plans[p].row.measured_seconds < input.plans[best].row.measured_seconds) best = p;
  }
  world.barrier();  // nobody frees memory that another rank still looks at
  trials.clear();
  input.planning_seconds += base::now_seconds() - begin;
  return split_by(std::move(input), best);
}

}  // namespace partita::job
