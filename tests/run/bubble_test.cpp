/// Idle time of pipelines, as the executor records it, whose kernels are replaced by time that passes: the
/// closed form where it holds, the event model elsewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "harness.hpp"
#include "partita/base/clock.hpp"
#include "partita/run/record.hpp"
#include "partita/sim/simulate.hpp"
#include "passing_time.hpp"

namespace partita::tests {
namespace {

using step::Instruction;
using step::Kind;
using step::Phase;
using step::Program;
using step::Schedule;

/// Seconds of a forward pass and of both halves of a backward pass of one chunk.
struct PassSeconds {
  double forward = 0.012, input = 0.012, weight = 0.012;
};

/// Each pass of a chunk costs what its last unit is charged with; the other instructions take no time.
double cost_of(const Program& program, const Instruction& instruction,
               const std::vector<PassSeconds>& stages) {
  if (!instruction.unit) return 0;
  const auto next = *instruction.unit + 1;
  const bool last =
      !program.units.has(next) || program.units[next].chunk != program.units[*instruction.unit].chunk;
  if (!last) return 0;
  const auto& seconds = stages[static_cast<std::size_t>(program.at.pipeline)];
  if (instruction.kind == Kind::forward) return seconds.forward;
  return instruction.phase == Phase::data         ? seconds.input
         : instruction.phase == Phase::parameters ? seconds.weight
                                                  : 0;
}

/// Sixteen small layers: two at least in every chunk.
const Case& deep() {
  static const Case c{"deep",
                      model_of("13", {"linear 7", "linear 7", "linear 7", "linear 7", "linear 7", "linear 7",
                                      "linear 7", "linear 7", "linear 7", "linear 7", "linear 7", "linear 7",
                                      "linear 7", "linear 7", "linear 7", "linear 5"}),
                      random_data(data::Task::classification, {13}, 24), 24};
  return c;
}

struct Idle {
  double measured = 0, simulated = 0;
};

/// Idle time ÷ (ranks × step time) of a step, the median of three, and in the event model.
Idle idle_of(Schedule schedule, int microbatches, const std::vector<PassSeconds>& stages) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  const int ranks = world().size();
  const Decomposition d{0, {.pipeline = ranks}, schedule, microbatches, Placing::cheapest};
  const Program* mine = nullptr;
  Harness harness(deep(), d, *backend, {}, [&](const Instruction& i) {
    tell(i);
    pass(cost_of(*mine, i, stages));
  });
  mine = &harness.program();
  // The ranks agree on nothing between steps: a rank that is early runs into the next one.
  constexpr std::size_t steps = 6, warm_up = 2;
  std::vector<double> sums(2 * steps);
  for (std::size_t s = 0; s < steps; ++s) {
    const double begin = base::now_seconds();
    const auto spans = harness.step(0, 24, 24);
    sums[2 * s + 1] = base::now_seconds() - begin;
    for (const auto& t : spans.transfers)
      sums[2 * s] += t.wait_end - t.wait_begin;
  }
  world().all_reduce(std::span(sums), comm::Combine::sum, collective::Purpose::metric);
  std::vector<double> idle;
  for (std::size_t s = warm_up; s + 1 < steps; ++s)  // nothing follows the last step
    idle.push_back(sums[2 * s] / sums[2 * s + 1]);
  std::nth_element(idle.begin(), idle.begin() + 1, idle.end());
  const auto roles = harness.roles();
  const auto simulation =
      sim::simulate(roles.by_rank,
                    {.instruction_seconds =
                         [&](int r, const Instruction& i) {
                           return cost_of(*roles.by_rank[static_cast<std::size_t>(r)], i, stages);
                         },
                     .transfer_seconds = [](int, const step::Transfer&) { return 0.0; },
                     .eager_sends = true},
                    static_cast<int>(steps));
  return {.measured = idle[1], .simulated = simulation.idle_fraction()};
}

/// The best of a few attempts.
void expect_idle(Schedule schedule, int microbatches, const std::vector<PassSeconds>& stages,
                 double expected) {
  Idle best{.measured = INFINITY};
  double close = 0;
  for (int attempt = 0; attempt < patience().attempts; ++attempt) {
    const Idle idle = idle_of(schedule, microbatches, stages);
    const double at_hand = std::isnan(expected) ? idle.simulated : expected;
    if (std::abs(idle.measured - at_hand) < std::abs(best.measured - at_hand)) best = idle;
    close = std::abs(best.measured - at_hand) <= patience().tolerance * at_hand ? 1 : 0;
    world().all_reduce(std::span(&close, 1), comm::Combine::max, collective::Purpose::control);
    if (close > 0) break;
  }
  const double wanted = std::isnan(expected) ? best.simulated : expected;
  const auto what = std::string(to_string(schedule)) + " of " + std::to_string(microbatches);
  EXPECT_NEAR(best.simulated, wanted, 1e-6 * wanted) << what;
  double busy = is_busy() ? 1 : 0;
  world().all_reduce(std::span(&busy, 1), comm::Combine::max, collective::Purpose::control);
  if (close == 0 && busy > 0) GTEST_SKIP() << what << ": others compute, " << state_of_machine();
  EXPECT_NEAR(best.measured, wanted, patience().tolerance * wanted) << what << ", " << state_of_machine();
  if (world().rank() == 0)
    std::cout << what << " on " << world().size() << " stages: measured " << best.measured << ", expected "
              << wanted << std::endl;
}

constexpr double by_event_model = NAN;

TEST(Bubbles, EqualStagesIdleAsTheClosedFormsSay) {
  const double p = world().size();
  const std::vector<PassSeconds> equal(static_cast<std::size_t>(p));
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

void expect_idle_of_unequal_stages() {
  std::vector<PassSeconds> stages(static_cast<std::size_t>(world().size()));
  for (std::size_t s = 0; s < stages.size(); ++s)
    stages[s] = {.forward = s % 2 == 0 ? 0.024 : 0.012, .input = 0.012, .weight = s % 2 == 0 ? 0.012 : 0.036};
  for (const auto schedule : {Schedule::gpipe, Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb_h1})
    expect_idle(schedule, 3, stages, by_event_model);
}

TEST(Bubbles, UnequalStagesIdleAsTheEventModelSays) { expect_idle_of_unequal_stages(); }

/// The loss is summed beside the passes, by a collective that each rank has to move on. When it comes to that
/// is the machine's affair.
TEST(Bubbles, DoNotDependOnWhenMessagesAreNoticed) {
  if (!hold_messages(true)) GTEST_SKIP() << "this host decides when messages are noticed";
  expect_idle_of_unequal_stages();
  hold_messages(false);
}

}  // namespace
}  // namespace partita::tests
