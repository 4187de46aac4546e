/// Programs of all ranks of a grid for models of a few lines, built once a role.
#pragma once

#include <string>
#include <vector>

#include "../models.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"
#include "partita/step/counterparts.hpp"

namespace partita::sim {

using tests::model_of;

inline model::ModelSpec equal_layers(int count) {
  return model_of("4", std::vector<std::string>(static_cast<std::size_t>(count), "linear 4"));
}

inline step::Plan plan_of(const model::ModelSpec& model, const plan::Request& options) {
  std::vector<base::Violation> violations;
  auto plan = plan::choose(model, options, machine::Machine::shipped(), violations);
  for (const auto& violation : violations)
    throw base::ContractError(to_string(violation));
  return plan;
}

inline step::Roles programs_of(const model::ModelSpec& model, const step::Plan& plan, bool training = true) {
  const auto build = training ? step::build_training_program : step::build_evaluation_program;
  return {plan.grid, [&](const topology::Coordinate& role) { return build(model, plan, role, {}); }};
}

inline std::string named(const step::Plan& plan) {
  const auto& o = plan.pipeline;
  return to_string(plan.grid) + " " + std::string(to_string(o.schedule)) + " micro-batches " +
         std::to_string(o.microbatches) + " chunks " + std::to_string(o.chunks) + " warm-up " +
         std::to_string(o.warmup);
}

/// Every schedule, with the most chunks that it takes in these tests.
struct ScheduleCase {
  step::Schedule schedule;
  int warmup = 1;
  int most_chunks = 1;
};
inline const std::vector<ScheduleCase> every_schedule{
    {step::Schedule::naive, 1, 4},       {step::Schedule::gpipe, 1, 4},
    {step::Schedule::one_f_one_b, 1, 1}, {step::Schedule::one_f_one_b, 2, 1},
    {step::Schedule::interleaved, 1, 4}, {step::Schedule::zb_h1, 1, 1}};

}  // namespace partita::sim
