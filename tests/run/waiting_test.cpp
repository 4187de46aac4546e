/// A delay of 20 ms on one rank, or of messages, is booked as the class of waiting that it causes: on a
/// virtual clock, and (slept away) on this host's.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "harness.hpp"
#include "partita/comm/group.hpp"
#include "partita/run/record.hpp"
#include "timeless.hpp"

namespace partita::tests {
namespace {

using step::Instruction;
using step::Kind;

constexpr double delay_seconds = 0.02;

/// One rank of a grid computes for so long at the beginning of each step, another waits for it.
struct Late {
  topology::GridExtent grid;
  int rank = 0, victim = 0;
};

void pass(comm::Communicator& ranks, double seconds) {
  if (auto* const clock = ranks.virtual_clock())
    clock->pass(machine::picoseconds(seconds));
  else
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// Median seconds of each class of waiting on the victim, where kernels take no time but that delay.
run::PhaseSeconds waiting(comm::Communicator& ranks, const Late& late, double seconds) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  const auto c = cases()[0];
  comm::Axes axes(ranks, late.grid, topology::axes);
  Harness harness(c, {0, late.grid, step::Schedule::naive, 1, Placing::cheapest}, *backend,
                  {.instead_of_kernels =
                       [&](const Instruction& i) {
                         if (ranks.rank() == late.rank && i.kind == Kind::forward &&
                             i.unit == step::UnitId(0) && seconds > 0)
                           pass(ranks, seconds);
                       },
                   .axes = &axes});
  std::vector<run::StepRow> rows;
  for (int s = 0; s < 11; ++s) {
    ranks.barrier();
    if (auto* const clock = ranks.virtual_clock()) clock->set(0);
    rows.push_back({.spans = harness.step(0, c.batch, c.batch)});
  }
  const auto roles = harness.roles();
  const auto steps = run::gather_steps(ranks, roles.by_rank, rows, ranks.measure_clocks(), 1);
  const auto median = [&](auto get) {
    std::vector<double> all;
    for (const auto& step : steps)
      all.push_back(get(step.phases[static_cast<std::size_t>(late.victim)]));
    std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
    return all.empty() ? 0.0 : all[all.size() / 2];
  };
  return {.exposed_transfer = median([](const auto& p) { return p.exposed_transfer; }),
          .dependency = median([](const auto& p) { return p.dependency; }),
          .straggler = median([](const auto& p) { return p.straggler; })};
}

/// In a job of its own, on the clock of the machine or, without one, on the host's.
run::PhaseSeconds waiting(const std::optional<machine::Machine>& machine, const Late& late, double seconds) {
  comm::Group group(world(), 0);
  run::PhaseSeconds phases;
  const auto failures = group.run([&](comm::Communicator& ranks) {
    if (machine) ranks.use_virtual_clock(*machine);
    phases = waiting(ranks, late, seconds);
    ranks.barrier();
  });
  EXPECT_TRUE(failures.empty());
  return phases;
}

using Class = double run::PhaseSeconds::*;

/// Whether the delay is in this class and nothing in the others, as rank 0 knows it.
bool is_booked(Class in_class, const run::PhaseSeconds& delayed, const run::PhaseSeconds& undisturbed,
               double tolerance) {
  bool booked = true;
  for (const Class phase : {&run::PhaseSeconds::dependency, &run::PhaseSeconds::straggler,
                            &run::PhaseSeconds::exposed_transfer}) {
    const double added = delayed.*phase - undisturbed.*phase,
                 expected = phase == in_class ? delay_seconds : 0;
    booked = booked && std::abs(added - expected) <= tolerance * delay_seconds;
  }
  return booked || world().rank() != 0;
}

constexpr Late late_stage{.grid = {.pipeline = 2}, .rank = 0, .victim = 1};
constexpr Late late_replica{.grid = {.data = 2}, .rank = 1, .victim = 0};

void expect_booked(Class in_class, const Late& late) {
  EXPECT_TRUE(
      is_booked(in_class, waiting(timeless(), late, delay_seconds), waiting(timeless(), late, 0), 1e-9));
}

TEST(Waiting, ForAStageThatIsLateIsDependency) { expect_booked(&run::PhaseSeconds::dependency, late_stage); }
TEST(Waiting, ForARankThatIsLateIsStraggler) { expect_booked(&run::PhaseSeconds::straggler, late_replica); }

TEST(Waiting, WhileDataMovesIsExposedTransfer) {
  auto slow = timeless();  // for activations, not for the sums of losses
  slow.levels = {{.name = "all",
                  .protocols = {{}, {.min_bytes = kernels::Bytes(100), .latency_seconds = delay_seconds}}}};
  EXPECT_TRUE(is_booked(&run::PhaseSeconds::exposed_transfer, waiting(slow, late_stage, 0),
                        waiting(timeless(), late_stage, 0), 1e-9));
}

/// Other processes only add to what is slept: one attempt of a few is undisturbed.
void expect_booked_asleep(Class in_class, const Late& late) {
  double booked = 0, busy = 0;
  for (int attempt = 0; attempt < 8 && booked == 0; ++attempt) {
    booked = is_booked(in_class, waiting({}, late, delay_seconds), waiting({}, late, 0), 0.03) ? 1 : 0;
    if (world().rank() != 0) booked = 0;
    world().all_reduce(std::span(&booked, 1), comm::Combine::max, collective::Purpose::control);
  }
  busy = getloadavg(&busy, 1) == 1 && busy > std::thread::hardware_concurrency() ? 1 : 0;
  world().all_reduce(std::span(&busy, 1), comm::Combine::max, collective::Purpose::control);
  if (booked == 0 && busy > 0) GTEST_SKIP() << "others compute";
  EXPECT_EQ(booked, 1);
}

TEST(Waiting, ForAStageIsDependencySlept) {
  expect_booked_asleep(&run::PhaseSeconds::dependency, late_stage);
}
TEST(Waiting, ForARankIsStragglerSlept) { expect_booked_asleep(&run::PhaseSeconds::straggler, late_replica); }

}  // namespace
}  // namespace partita::tests
