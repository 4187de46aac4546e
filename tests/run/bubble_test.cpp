/// Idle time of pipelines, as the executor records it on a virtual clock, over real messages: the closed form
/// where it holds, the event model elsewhere. Kernels are replaced by time that passes.
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "harness.hpp"
#include "partita/sim/simulate.hpp"
#include "timeless.hpp"

namespace partita::tests {
namespace {

using machine::Picoseconds;
using step::Instruction;
using step::Kind;
using step::Phase;
using step::Program;
using step::Schedule;

constexpr Picoseconds ms = 1'000'000'000;

/// Of a forward pass and of both halves of a backward pass of one chunk.
struct PassTimes {
  Picoseconds forward = 12 * ms, input = 12 * ms, weight = 12 * ms;
};

/// Each pass of a chunk costs what its last unit is charged with; the other instructions take no time.
Picoseconds cost_of(const Program& program, const Instruction& instruction,
                    const std::vector<PassTimes>& stages) {
  if (!instruction.unit) return 0;
  const auto next = *instruction.unit + 1;
  const bool last =
      !program.units.has(next) || program.units[next].chunk != program.units[*instruction.unit].chunk;
  if (!last) return 0;
  const auto& times = stages[static_cast<std::size_t>(program.at.pipeline)];
  if (instruction.kind == Kind::forward) return times.forward;
  return instruction.phase == Phase::data         ? times.input
         : instruction.phase == Phase::parameters ? times.weight
                                                  : 0;
}

/// Sixteen small layers: two at least in every chunk.
const Case& deep() {
  static const Case c{"deep",
                      model_of("13",
                               [] {
                                 std::vector<std::string> lines(15, "linear 7");
                                 lines.push_back("linear 5");
                                 return lines;
                               }()),
                      random_data(data::Task::classification, {13}, 24), 24};
  return c;
}

struct Idle {
  double executed = 0, simulated = 0;
};

constexpr int steps = 5;

/// Idle time ÷ (ranks × step time) of the last step but one: nothing follows the last. `disturb`: what else
/// happens at an instruction.
Idle idle_of(Schedule schedule, int microbatches, const std::vector<PassTimes>& stages,
             const std::function<void()>& disturb) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  const int ranks = world().size();
  const Decomposition d{0, {.pipeline = ranks}, schedule, microbatches, Placing::cheapest};
  const auto machine = timeless();
  world().use_virtual_clock(machine);
  auto& clock = *world().virtual_clock();
  const Program* mine = nullptr;
  Harness harness(deep(), d, *backend, {.instead_of_kernels = [&](const Instruction& i) {
                    disturb();
                    clock.pass(cost_of(*mine, i, stages));
                  }});
  mine = &harness.program();
  std::vector<double> sums;  // waited for, and taken, of each step
  for (int s = 0; s < steps; ++s) {
    const double begin = world().now_seconds();
    const auto spans = harness.step(0, 24, 24);
    double waited = 0;
    for (const auto& t : spans.transfers)
      waited += t.wait_end - t.wait_begin;
    sums.insert(sums.end(), {waited, world().now_seconds() - begin});
  }
  world().all_reduce(std::span(sums), comm::Combine::sum, collective::Purpose::metric);
  const auto roles = harness.roles();
  auto costs = sim::costs_on(machine, roles.by_rank, 24, harness.site());
  costs.instruction = [&](int r, const Instruction& i) {
    return cost_of(*roles.by_rank[static_cast<std::size_t>(r)], i, stages);
  };
  return {.executed = sums[2 * (steps - 2)] / sums[2 * (steps - 2) + 1],
          .simulated = sim::simulate(roles.by_rank, costs, steps).idle_fraction()};
}

void expect_idle(
    Schedule schedule, int microbatches, const std::vector<PassTimes>& stages, std::optional<double> expected,
    const std::function<void()>& disturb = [] {}) {
  const auto idle = idle_of(schedule, microbatches, stages, disturb);
  const double wanted = expected.value_or(idle.simulated);
  const auto what = std::string(to_string(schedule)) + " of " + std::to_string(microbatches);
  EXPECT_NEAR(idle.simulated, wanted, 1e-9 * wanted) << what;
  EXPECT_NEAR(idle.executed, wanted, 1e-9 * wanted) << what;
  if (world().rank() == 0)
    std::cout << what << " on " << world().size() << " stages: " << idle.executed << std::endl;
}

TEST(Bubbles, EqualStagesIdleAsTheClosedFormsSay) {
  const double p = world().size();
  const std::vector<PassTimes> equal(static_cast<std::size_t>(p));
  expect_idle(Schedule::naive, 2, equal, (p - 1) / p);
  for (const int m : {2, 8}) {
    expect_idle(Schedule::gpipe, m, equal, (p - 1) / (m + p - 1));
    expect_idle(Schedule::one_f_one_b, m, equal, (p - 1) / (m + p - 1));
  }
  const int m = 2 * world().size();
  expect_idle(Schedule::interleaved, m, equal, (p - 1) / (2 * m + p - 1));
  // Each rank is busy for 3m passes and idle for (p − 1)(F + I − W), here one pass a stage that follows.
  expect_idle(Schedule::zb_h1, m, equal, (p - 1) / (3 * m + p - 1));
}

void expect_idle_of_unequal_stages(const std::function<void()>& disturb) {
  std::vector<PassTimes> stages(static_cast<std::size_t>(world().size()));
  for (std::size_t s = 0; s < stages.size(); ++s)
    stages[s] = {.forward = (s % 2 == 0 ? 24 : 12) * ms, .weight = (s % 2 == 0 ? 12 : 36) * ms};
  for (const auto schedule : {Schedule::gpipe, Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb_h1})
    expect_idle(schedule, 3, stages, std::nullopt, disturb);
}

TEST(Bubbles, UnequalStagesIdleAsTheEventModelSays) {
  expect_idle_of_unequal_stages([] {});
}

/// Where cores are taken away, a collective beside the passes is moved on whenever its rank comes to it.
TEST(Bubbles, DoNotDependOnWhenMessagesAreNoticed) {
  int turn = world().rank();
  expect_idle_of_unequal_stages([&] {
    if (++turn % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100 * (turn % 5)));
  });
}

}  // namespace
}  // namespace partita::tests
