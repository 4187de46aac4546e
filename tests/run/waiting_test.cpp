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
struct Withheld {
  double until;
  MPI_Status status;
};
std::map<const MPI_Request*, Withheld> withheld;

}  // namespace

extern "C" int MPI_Irecv_c(void* data, MPI_Count count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                           MPI_Request* request) {
  if (withheld_seconds > 0) receives.insert(request);
  return PMPI_Irecv_c(data, count, type, from, tag, comm, request);
}

extern "C" int MPI_Test(MPI_Request* request, int* flag, MPI_Status* status) {
  if (!receives.contains(request)) return PMPI_Test(request, flag, status);
  const double now = partita::base::now_seconds();
  if (const auto held = withheld.find(request); held != withheld.end()) {
    *flag = now >= held->second.until;
    if (*flag == 0) return MPI_SUCCESS;
    *status = held->second.status;
    withheld.erase(held), receives.erase(request);
    return MPI_SUCCESS;
  }
  const int code = PMPI_Test(request, flag, status);
  if (*flag != 0) withheld[request] = {now + withheld_seconds, *status}, *flag = 0;
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

using Class = double run::PhaseSeconds::*;

/// At least nine tenths of the delay are in this class, and no more than one tenth in the others. A busy
/// machine adds waiting of its own: one quiet attempt of a few will do.
void expect_booked(Class in_class, const std::function<run::PhaseSeconds()>& delayed,
                   const std::function<run::PhaseSeconds()>& undisturbed) {
  double booked = 0;
  for (int attempt = 0; attempt < 6 && booked == 0; ++attempt) {
    const auto with = delayed(), without = undisturbed();
    booked = 1;
    for (const Class phase : {&run::PhaseSeconds::dependency, &run::PhaseSeconds::straggler,
                              &run::PhaseSeconds::exposed_transfer}) {
      const double added = with.*phase - without.*phase;
      if (phase == in_class ? added < 0.9 * delay_seconds : added > 0.1 * delay_seconds) booked = 0;
    }
    if (world().rank() != 0) booked = 0;  // rank 0 alone has seen it
    world().all_reduce(std::span(&booked, 1), comm::Combine::max, collective::Purpose::control);
  }
  EXPECT_EQ(booked, 1);
}

void nothing(const Instruction&) {}

void sleep(bool here) {
  if (here) std::this_thread::sleep_for(std::chrono::duration<double>(delay_seconds));
}

TEST(Waiting, ForAStageThatIsLateIsDependency) {
  const auto late = [](const Instruction& i) {
    sleep(world().rank() == 0 && i.kind == Kind::forward && i.unit == 0);
  };
  expect_booked(
      &run::PhaseSeconds::dependency, [&] { return waiting({.pipeline = 2}, 1, late); },
      [] { return waiting({.pipeline = 2}, 1, nothing); });
}

TEST(Waiting, ForARankThatIsLateIsStraggler) {
  const auto late = [](const Instruction& i) {
    sleep(world().rank() == 1 && i.kind == Kind::forward && i.unit == 0);
  };
  expect_booked(
      &run::PhaseSeconds::straggler, [&] { return waiting({.data = 2}, 0, late); },
      [] { return waiting({.data = 2}, 0, nothing); });
}

TEST(Waiting, WhileDataMovesIsExposedTransfer) {
  const auto withheld = [] {
    withheld_seconds = world().rank() == 1 ? delay_seconds : 0;
    const auto phases = waiting({.pipeline = 2}, 1, nothing);
    withheld_seconds = 0;
    return phases;
  };
  expect_booked(&run::PhaseSeconds::exposed_transfer, withheld,
                [] { return waiting({.pipeline = 2}, 1, nothing); });
}

}  // namespace
}  // namespace partita::tests
