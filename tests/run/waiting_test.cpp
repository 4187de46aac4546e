/// A delay of 20 ms on one rank is booked as the class of waiting that it causes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness.hpp"
#include "partita/run/record.hpp"
#include "passing_time.hpp"

namespace partita::tests {
namespace {

using step::Instruction;
using step::Kind;

constexpr double delay_seconds = 0.02;

/// Median seconds of each class of waiting on `victim`, when kernels take no time but what `delay` takes.
run::PhaseSeconds waiting(const topology::GridExtent& grid, int victim,
                          const std::function<void(const Instruction&)>& delay) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  const auto c = cases()[0];
  Harness harness(c, {0, grid, step::Schedule::naive, 1, Placing::cheapest}, *backend, {},
                  [&](const Instruction& i) {
                    tell(i);
                    delay(i);
                  });
  std::vector<run::StepRow> rows;
  for (int s = 0; s < 11; ++s) {
    world().barrier();
    rows.push_back({.spans = harness.step(0, c.batch, c.batch)});
  }
  const auto roles = harness.roles();
  const auto steps = run::gather_steps(world(), roles.by_rank, rows, world().measure_clocks(), 1);
  const auto median = [&](auto get) {
    std::vector<double> all;
    for (const auto& step : steps)
      all.push_back(get(step.phases[static_cast<std::size_t>(victim)]));
    std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
    return all.empty() ? 0.0 : all[all.size() / 2];
  };
  return {.exposed_transfer = median([](const auto& p) { return p.exposed_transfer; }),
          .dependency = median([](const auto& p) { return p.dependency; }),
          .straggler = median([](const auto& p) { return p.straggler; })};
}

using Class = double run::PhaseSeconds::*;

/// The delay is in this class and nothing in the others, in one attempt of a few.
void expect_booked(Class in_class, const std::function<run::PhaseSeconds()>& delayed,
                   const std::function<run::PhaseSeconds()>& undisturbed) {
  double booked = 0;
  for (int attempt = 0; attempt < patience().attempts && booked == 0; ++attempt) {
    const auto with = delayed(), without = undisturbed();
    booked = 1;
    for (const Class phase : {&run::PhaseSeconds::dependency, &run::PhaseSeconds::straggler,
                              &run::PhaseSeconds::exposed_transfer}) {
      const double added = with.*phase - without.*phase;
      const double expected = phase == in_class ? delay_seconds : 0;
      if (std::abs(added - expected) > patience().tolerance * delay_seconds) booked = 0;
    }
    if (world().rank() != 0) booked = 0;  // rank 0 alone has seen it
    world().all_reduce(std::span(&booked, 1), comm::Combine::max, collective::Purpose::control);
  }
  EXPECT_EQ(booked, 1) << state_of_machine();
}

void nothing(const Instruction&) {}

TEST(Waiting, ForAStageThatIsLateIsDependency) {
  const auto late = [](const Instruction& i) {
    if (world().rank() == 0 && i.kind == Kind::forward && i.unit == step::UnitId(0)) pass(delay_seconds);
  };
  expect_booked(
      &run::PhaseSeconds::dependency, [&] { return waiting({.pipeline = 2}, 1, late); },
      [] { return waiting({.pipeline = 2}, 1, nothing); });
}

TEST(Waiting, ForARankThatIsLateIsStraggler) {
  const auto late = [](const Instruction& i) {
    if (world().rank() == 1 && i.kind == Kind::forward && i.unit == step::UnitId(0)) pass(delay_seconds);
  };
  expect_booked(
      &run::PhaseSeconds::straggler, [&] { return waiting({.data = 2}, 0, late); },
      [] { return waiting({.data = 2}, 0, nothing); });
}

TEST(Waiting, WhileDataMovesIsExposedTransfer) {
  const auto withheld = [] {
    delay_messages(world().rank() == 1 ? delay_seconds : 0);
    const auto phases = waiting({.pipeline = 2}, 1, nothing);
    delay_messages(0);
    return phases;
  };
  expect_booked(&run::PhaseSeconds::exposed_transfer, withheld,
                [] { return waiting({.pipeline = 2}, 1, nothing); });
}

}  // namespace
}  // namespace partita::tests
