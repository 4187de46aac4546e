/// A delay of 5 ms on one rank is booked as the class of waiting that it causes.
#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "harness.hpp"
#include "partita/base/clock.hpp"
#include "partita/run/record.hpp"

namespace {

/// Messages that have come are withheld for so long on this rank.
double withheld_seconds = 0;
std::set<const MPI_Request*> receives;
std::map<const MPI_Request*, double> withheld_until;

}  // namespace

extern "C" int MPI_Irecv_c(void* data, MPI_Count count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                           MPI_Request* request) {
  if (withheld_seconds > 0) receives.insert(request);
  return PMPI_Irecv_c(data, count, type, from, tag, comm, request);
}

extern "C" int MPI_Test(MPI_Request* request, int* flag, MPI_Status* status) {
  if (!receives.contains(request)) return PMPI_Test(request, flag, status);
  const double now = partita::base::now_seconds();
  if (const auto held = withheld_until.find(request); held != withheld_until.end()) {
    *flag = now >= held->second;
    if (*flag != 0) withheld_until.erase(held), receives.erase(request);
    return MPI_SUCCESS;
  }
  const int code = PMPI_Test(request, flag, status);
  if (*flag != 0) withheld_until[request] = now + withheld_seconds, *flag = 0;
  return code;
}

namespace partita::tests {
namespace {

using step::Instruction;
using step::Kind;

constexpr double delay_seconds = 0.005;

/// Median seconds of each class of waiting on `victim`, when kernels take no time but what `delay` takes.
run::PhaseSeconds waiting(const topology::GridExtent& grid, int victim,
                          const std::function<void(const Instruction&)>& delay) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  const auto c = cases()[0];
  Harness harness(c, {0, grid, step::Schedule::naive, 1, Placing::cheapest}, *backend, {}, delay);
  std::vector<run::StepRow> rows;
  for (int s = 0; s < 11; ++s) {
    world().barrier();
    rows.push_back({.spans = harness.step(0, c.batch, c.batch)});
  }
  const auto steps = run::gather_steps(
      world(), [&](int r) { return harness.program_of(r); }, rows, world().measure_clocks(), 1);
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

/// At least nine tenths of the delay are in this class, and no more than one tenth in the others.
void expect_booked(double run::PhaseSeconds::*in_class, const run::PhaseSeconds& with,
                   const run::PhaseSeconds& without) {
  if (world().rank() != 0) return;
  for (const auto phase : {&run::PhaseSeconds::dependency, &run::PhaseSeconds::straggler,
                           &run::PhaseSeconds::exposed_transfer}) {
    if (phase == in_class)
      EXPECT_GE(with.*phase - without.*phase, 0.9 * delay_seconds);
    else
      EXPECT_LE(with.*phase - without.*phase, 0.1 * delay_seconds);
  }
}

void nothing(const Instruction&) {}

void sleep(bool here) {
  if (here) std::this_thread::sleep_for(std::chrono::duration<double>(delay_seconds));
}

TEST(Waiting, ForAStageThatIsLateIsDependency) {
  const auto phases = waiting({.pipeline = 2}, 1, [](const Instruction& i) {
    sleep(world().rank() == 0 && i.kind == Kind::forward && i.unit == 0);
  });
  expect_booked(&run::PhaseSeconds::dependency, phases, waiting({.pipeline = 2}, 1, nothing));
}

TEST(Waiting, ForARankThatIsLateIsStraggler) {
  const auto phases = waiting({.data = 2}, 0, [](const Instruction& i) {
    sleep(world().rank() == 1 && i.kind == Kind::forward && i.unit == 0);
  });
  expect_booked(&run::PhaseSeconds::straggler, phases, waiting({.data = 2}, 0, nothing));
}

TEST(Waiting, WhileDataMovesIsExposedTransfer) {
  withheld_seconds = world().rank() == 1 ? delay_seconds : 0;
  const auto phases = waiting({.pipeline = 2}, 1, nothing);
  withheld_seconds = 0;
  expect_booked(&run::PhaseSeconds::exposed_transfer, phases, waiting({.pipeline = 2}, 1, nothing));
}

}  // namespace
}  // namespace partita::tests
