/// Speeds of ranks from their busy seconds; then a search on ranks of these speeds.
#include "partita/predict/replan.hpp"

#include <algorithm>
#include <cmath>

#include "partita/base/error.hpp"

namespace partita::predict {
namespace {

/// What a move must save of a step: it costs a checkpoint, and predictions err by as much.
constexpr double worth_a_move = 0.05;

/// What is split anew, with as many micro-batches as before where statistics are taken of one.
config::RunOptions unsplit(config::RunOptions run, const plan::Split& current) {
  run.strategy = config::Strategy::none;
  run.pipeline.microbatches.reset();
  if (!run.train.deterministic) run.pipeline.microbatches = current.plan.pipeline.microbatches;
  return run;
}

}  // namespace

bool departs(double measured_seconds, double expected_seconds, double threshold) {
  return std::abs(measured_seconds - expected_seconds) > threshold * expected_seconds;
}

std::vector<double> busy_seconds_of(const Subject& subject, const Supposed& supposed) {
  const auto roles = roles_of(subject);
  const auto costs = costs_of(subject, supposed, roles, subject.split.batch);
  std::vector<double> busy;
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r) {
    const auto& program = *roles.by_rank[r];
    const auto starts = std::ranges::count(program.instructions, step::Kind::start, &step::Instruction::kind);
    const auto& core = costs.core_of(static_cast<int>(r));
    const auto computing = computing_time(costs, program, static_cast<int>(r));
    busy.push_back(machine::seconds_of(computing + starts * core.start + core.step));
  }
  return busy;
}

Replan replan(const config::RunOptions& run, const plan::Split& current, const MeasuredStep& measured,
              const machine::Machine& machine, const collective::AlgorithmTable& table) {
  const auto subject = subject_of(run, current, machine, table);
  const auto as_fast_as_said = busy_seconds_of(subject, {.machine = machine, .speed = {}});
  base::expect(measured.busy_seconds.size() == as_fast_as_said.size(), "every rank was measured;",
               measured.busy_seconds.size());
  Replan replan;
  for (std::size_t r = 0; r < as_fast_as_said.size(); ++r)
    if (as_fast_as_said[r] > 0 && measured.busy_seconds[r] > 0)
      replan.speed[static_cast<int>(r)] = as_fast_as_said[r] / measured.busy_seconds[r];
  const Supposed seen{.machine = machine, .speed = replan.speed};
  const auto ranks = static_cast<int>(as_fast_as_said.size());
  auto plans = search(unsplit(run, current), ranks, machine, table, {.top = 3, .speed = replan.speed});
  // All that are compared leave the same out.
  const auto depth = plans.left_out.any() ? sim::Depth::unshared : sim::Depth::automatic;
  replan.current_seconds = predict(subject, seen, current.batch, 3, depth).step_seconds();
  for (auto& outcome : plans.outcomes)
    if (outcome.fate == Fate::simulated &&
        *outcome.step_seconds < (1 - worth_a_move) * replan.current_seconds)
      replan.better.push_back(std::move(outcome));
  return replan;
}

}  // namespace partita::predict
