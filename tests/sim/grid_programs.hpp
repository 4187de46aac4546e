/// Programs of all ranks of a grid for models of a few lines, built once a role.
#pragma once

#include <string>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/model/parse.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"
#include "partita/step/counterparts.hpp"

namespace partita::sim {

/// A program per role and, by rank, which role a rank has.
struct GridPrograms {
  std::vector<step::Program> roles;  ///< (stage, tensor coordinate), the latter fastest
  step::ProgramsByRank by_rank;

  GridPrograms(const topology::GridExtent& grid, std::vector<step::Program> programs)
      : roles(std::move(programs)) {
    for (int r = 0; r < static_cast<int>(grid.size()); ++r) {
      const auto at = topology::coordinate_of(grid, r);
      by_rank.push_back(&roles[static_cast<std::size_t>(at.pipeline * grid.tensor + at.tensor)]);
    }
  }
};

inline model::ModelSpec model_of(const std::string& input, const std::vector<std::string>& layers) {
  std::vector<base::Violation> violations;
  auto model = model::parse_model({.name = "m", .input = input, .layers = layers}, violations);
  for (const auto& violation : violations)
    throw base::ContractError(to_string(violation));
  return model;
}

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

inline GridPrograms programs_of(const model::ModelSpec& model, const step::Plan& plan, bool training = true) {
  std::vector<step::Program> programs;
  const auto build = training ? step::build_training_program : step::build_evaluation_program;
  for (int s = 0; s < plan.grid.pipeline; ++s)
    for (int t = 0; t < plan.grid.tensor; ++t)
      programs.push_back(build(model, plan, {.pipeline = s, .tensor = t}, {}));
  return {plan.grid, std::move(programs)};
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
