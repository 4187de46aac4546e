/// Plans for many ranks of vgg-small, on a machine that was measured and on three that were described: what a
/// search takes and finds is printed.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <filesystem>

#include "partita/predict/search.hpp"

namespace partita::predict {
namespace {

/// Of two samples a rank.
config::RunOptions vgg_small(int ranks) {
  const char* argv[] = {"test", "--config", INPUTS "/runs/random_vgg_small.ini"};
  std::vector<base::Violation> violations;
  auto run = config::parse(3, argv, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  run.train.batch = std::int64_t{2} * ranks;
  return run;
}

/// Of this process's cores, so that what runs beside it does not count.
double core_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void plan(const std::string& machine_file, int ranks) {
  const auto run = vgg_small(ranks);
  std::vector<base::Violation> violations;
  const auto machine = machine::Machine::read(std::filesystem::path(INPUTS) / "machines" / machine_file,
                                              "machine", violations);
  ASSERT_TRUE(violations.empty());
  const double begin = core_seconds();
  const auto plans = search(run, ranks, machine, collective::AlgorithmTable::shipped(), {});
  const double seconds = core_seconds() - begin;
  ASSERT_GT(plans.count(Fate::simulated), 0U);
  const auto& best = plans.outcomes.front();
  std::printf(
      "%d ranks of %s: %.2f s of a core for %zu plans, of which %zu simulated, %zu unshared; %s: %.3f ms, "
      "%.1f %% above what it takes at least\n",
      ranks, machine_file.c_str(), seconds, plans.outcomes.size(), plans.count(Fate::simulated),
      plans.count(Fate::unshared), best.candidate.name().c_str(), 1e3 * *best.step_seconds, 100 * plans.gap);
  for (const auto& outcome : plans.outcomes)
    if (plans.is_certain && outcome.fate == Fate::bounded) {
      EXPECT_GE(outcome.bound_seconds, *best.step_seconds) << outcome.candidate.name();
    }
}

class PlanScale : public testing::TestWithParam<std::string> {};

TEST_P(PlanScale, SixtyFourRanks) { plan(GetParam(), 64); }
TEST_P(PlanScale, FourThousandRanks) { plan(GetParam(), 4096); }

INSTANTIATE_TEST_SUITE_P(Machines, PlanScale,
                         testing::Values("epyc-2-cores.machine", "fat-tree.machine", "gpu-cluster.machine",
                                         "epyc-512-nodes.machine"));

}  // namespace
}  // namespace partita::predict
