/// 100,000 ranks in the depths that are made for them: what they take is printed, and bounded far above it.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <string>

#include "grid_programs.hpp"
#include "partita/base/clock.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {
namespace {

/// Nodes of 64 ranks on a network.
machine::Machine cluster() {
  auto machine = machine::Machine::shipped();
  const machine::Protocol near{
      .send_seconds = 5e-7, .latency_seconds = 5e-7, .byte_seconds = 1e-10, .receive_seconds = 5e-7};
  const machine::Protocol far{.min_bytes = kernels::Bytes(1 << 16),
                              .send_seconds = 1e-6,
                              .latency_seconds = 2e-6,
                              .byte_seconds = 1e-10,
                              .receive_seconds = 1e-6,
                              .rendezvous = true};
  auto short_far = far;
  short_far.min_bytes = kernels::Bytes(0);
  short_far.rendezvous = false;
  machine.levels = {{.name = "node", .ranks = 64, .protocols = {near}},
                    {.name = "cluster", .protocols = {short_far, far}}};
  machine.windows = {{.stage_byte_seconds = 1e-10, .load_byte_seconds = 1e-10, .store_byte_seconds = 1e-10}};
  return machine;
}

double megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

Simulation simulated(const topology::GridExtent& extent, std::int64_t batch, Depth depth,
                     const machine::Machine& machine = cluster(),
                     collective::Algorithm algorithm = collective::Algorithm::automatic) {
  const auto model = vgg_small();
  const auto plan = plan_of(model, {.grid = extent,
                                    .batch = batch,
                                    .pipeline = {.schedule = step::Schedule::one_f_one_b, .microbatches = 32},
                                    .bucket_bytes = kernels::Bytes(1 << 20),
                                    .algorithm = algorithm});
  const double begin = base::now_seconds();
  const auto grid = programs_of(model, plan);
  step::Site site;
  for (int rank = 0; rank < static_cast<int>(extent.size()); ++rank)
    site.node_of.push_back(rank / 64);
  const auto costs = costs_on(machine, grid.by_rank, batch, site);
  auto simulation = simulate(grid.by_rank, costs, 3, {.depth = depth, .spans_of = {0}});
  const double seconds = base::now_seconds() - begin;
  std::printf(
      "%s of %lld: %s%s of %lld ranks in %.2f s, at most %.0f MB; a step takes %.3f ms, %.1f %% of them "
      "idle\n",
      named(plan).c_str(), static_cast<long long>(batch), std::string(to_string(simulation.depth)).c_str(),
      simulation.left_out.any() ? " without sharing" : "", static_cast<long long>(simulation.running_ranks()),
      seconds, megabytes(), 1e-9 * static_cast<double>(simulation.step_duration()),
      100 * simulation.idle_fraction());
  EXPECT_LT(seconds, 300);
  EXPECT_LT(megabytes(), 1000);
  EXPECT_EQ(simulation.steps[2][0].instructions.size(), grid.by_rank[0]->instructions.size());
  return simulation;
}

TEST(Scale, AHundredThousandRanksInPlane) {
  const auto simulation = simulated({.data = 1250, .pipeline = 8, .tensor = 10}, 40'000, Depth::plane);
  for (const auto& rank : simulation.steps.back())
    ASSERT_EQ(rank.busy + rank.progress + rank.idle(), rank.end - rank.begin);
}

TEST(Scale, AHundredThousandRanksWhoseBatchDoesNotDivide) {
  simulated({.data = 1250, .pipeline = 8, .tensor = 10}, 43'210, Depth::plane);
}

TEST(Scale, ClassesFallBackToPlaneWhereFewRanksAreAlike) {
  EXPECT_EQ(simulated({.data = 1250, .pipeline = 8, .tensor = 10}, 40'000, Depth::automatic).depth,
            Depth::plane);
}

TEST(Scale, ClassesArePlaneWhereManyRanksAreAlike) {
  const topology::GridExtent extent{.data = 512, .pipeline = 8, .tensor = 8};
  const auto plane = simulated(extent, 512 * 32, Depth::plane);
  const auto classes = simulated(extent, 512 * 32, Depth::automatic);
  EXPECT_EQ(classes.depth, Depth::classes);
  EXPECT_EQ(plane.steps, classes.steps);
}

/// Nodes of 64 ranks whose cores poll, below a fat tree, with gaps.
TEST(Scale, RepresentativesShareTheLinksOfAFatTree) {
  std::vector<base::Violation> violations;
  const auto machine = machine::Machine::read(INPUTS "/machines/fat-tree.machine", "machine", violations);
  ASSERT_TRUE(violations.empty());
  using collective::Algorithm;
  for (const auto& [data, algorithm] :
       {std::pair(64, Algorithm::automatic), std::pair(64, Algorithm::recursive_doubling),
        std::pair(512, Algorithm::recursive_doubling), std::pair(1024, Algorithm::recursive_doubling)}) {
    const topology::GridExtent extent{.data = data, .pipeline = 8, .tensor = 8};
    const auto loose = simulated(extent, data * 32, Depth::unshared, machine, algorithm);
    const auto classes = simulated(extent, data * 32, Depth::automatic, machine, algorithm);
    EXPECT_EQ(classes.depth, Depth::classes);
    EXPECT_FALSE(classes.left_out.any());
    EXPECT_GT(classes.makespan(), loose.makespan());
  }
}

}  // namespace
}  // namespace partita::sim
