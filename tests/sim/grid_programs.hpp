/// Programs of all ranks of a grid for models of a few lines, built once a role.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "../models.hpp"
#include "partita/plan/plan.hpp"
#include "partita/sim/costs.hpp"
#include "partita/step/build.hpp"
#include "partita/step/counterparts.hpp"

namespace partita::sim {

using tests::model_of;

inline model::ModelSpec equal_layers(int count) {
  return model_of("4", std::vector<std::string>(static_cast<std::size_t>(count), "linear 4"));
}

/// inputs/models/vgg-small.ini.
inline model::ModelSpec vgg_small() {
  std::vector<std::string> layers;
  for (const auto* const channels : {"64", "128", "256"}) {
    for (int i = 0; i < 2; ++i) {
      layers.push_back(std::string("conv ") + channels + " kernel=3 padding=1");
      layers.emplace_back("relu");
    }
    layers.emplace_back("maxpool 2");
  }
  for (const auto* const layer : {"flatten", "linear 1024", "relu", "linear 1024", "relu", "linear 10"})
    layers.emplace_back(layer);
  return model_of("3x32x32", layers);
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

inline Picoseconds seconds(double count) { return static_cast<Picoseconds>(std::llround(count * 1e12)); }

/// How long instructions and transfers take in a study of schedules: a message on its way, a collective from
/// its last start on.
struct Durations {
  std::function<Picoseconds(int rank, const step::Instruction&)> instruction;
  std::function<Picoseconds(int rank, const step::Transfer&)> transfer = [](int, const step::Transfer&) {
    return Picoseconds(0);
  };
  bool eager = false;  ///< messages leave before their receives are posted
};

inline Costs costs_of(const step::ProgramsByRank& programs, const Durations& durations) {
  const auto rounds = [&programs, durations](int rank, const step::Transfer& t) -> std::vector<TimedRound> {
    const auto duration = durations.transfer(rank, t);
    if (!is_message(t)) return {TimedWhole{duration}};
    const auto& grid = programs[static_cast<std::size_t>(rank)]->grid;
    const int peer = topology::group_of(grid, rank, t.axis)[static_cast<std::size_t>(*t.peer)];
    if (t.operation == collective::Operation::receive) return {TimedMessages{.receive_from = peer}};
    return {TimedMessages{.send_to = peer, .sent = {.bytes = duration, .rendezvous = !durations.eager}}};
  };
  return {.instruction = durations.instruction, .rounds = rounds};
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
