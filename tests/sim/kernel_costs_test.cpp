/// What instructions cost on machines whose kernels were measured, and on others.
#include <gtest/gtest.h>

#include "grid_programs.hpp"
#include "partita/cost/time.hpp"
#include "partita/sim/costs.hpp"

namespace partita::sim {
namespace {

/// Instructions cost what their kernels took, those of a program and copies of them; without rows what the
/// model says.
TEST(Costs, AnInstructionCostsWhatItsKernelTook) {
  const auto model = model_of("12", {"linear 7", "tanh", "linear 5"});
  const auto roles = programs_of(model, plan_of(model, {.grid = {.data = 2}, .batch = 6}));
  const auto& programs = roles.by_rank;
  auto machine = machine::Machine::shipped();
  machine.kernels.push_back({.key = {.implementation = "cpu",
                                     .kernel = "tanh",
                                     .phase = "forward",
                                     .type = "float32",
                                     .shape = {3 * 7}},
                             .runs = 1,
                             .median_seconds = 5e-3});
  const auto costs = costs_on(machine, programs, 6, {});
  const auto reference = costs_on(machine, programs, 6, {}, {.implementation = "reference"});
  const auto modelled = costs_on(machine::Machine::shipped(), programs, 6, {});
  const auto shared = costs_on(machine, programs, 6, {}, cost::JobTimes(machine, {}, 1));
  int measured = 0;
  for (const auto& i : programs[1]->instructions) {
    if (i.kind == step::Kind::start || i.kind == step::Kind::wait) continue;
    const bool is_tanh = i.kind == step::Kind::forward && programs[1]->units[*i.unit].layer == 1;
    measured += is_tanh ? 1 : 0;
    const auto by_model = static_cast<Picoseconds>(cost::picoseconds_of(
        cost::work_of(*programs[1], i, programs[1]->samples_of(i.microbatch, 1, 6)), machine));
    EXPECT_EQ(modelled.instruction(1, i), by_model);
    EXPECT_EQ(shared.instruction(1, i), costs.instruction(1, i));
    EXPECT_EQ(reference.instruction(1, i), by_model);
    EXPECT_EQ(costs.instruction(1, i), is_tanh ? 5'000'000'000 : by_model);
    EXPECT_EQ(costs.instruction(1, i), costs.instruction(0, i));
  }
  EXPECT_EQ(measured, 1);
}

}  // namespace
}  // namespace partita::sim
