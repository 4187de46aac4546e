/// Kernels that a machine's rows do not tell the time of.
#include "partita/predict/guesses.hpp"

#include <gtest/gtest.h>

#include <array>

#include "runs.hpp"

namespace partita::predict {
namespace {

/// The run of one rank on a machine, whose rows are all the kernels that it takes.
struct Measured {
  config::RunOptions run = run_of(tests::model_of("20", {"linear 30", "relu", "linear 10"}), 24);
  machine::Machine machine = machine::Machine::shipped();

  Measured() {
    const auto subject = subject_on(run, {}, machine, 1);
    const auto roles = roles_of(subject);
    for (const auto& instruction : roles.programs.front().instructions)
      if (instruction.kind != step::Kind::start && instruction.kind != step::Kind::wait)
        machine.kernels.push_back({.key = cost::key_of(roles.programs.front(), instruction,
                                                       instruction.microbatch ? 24 : 0, subject.execution),
                                   .runs = 1,
                                   .median_seconds = 1e-6,
                                   .lower_quartile_seconds = 1e-6,
                                   .upper_quartile_seconds = 1e-6});
  }
  [[nodiscard]] std::vector<base::Violation> refused(std::int64_t batch) const {
    Guesses guesses(machine);
    guesses.add(subject_on(run, {}, machine, 1), std::array{batch});
    return thrown_by(guesses);
  }
  static std::vector<base::Violation> thrown_by(const Guesses& guesses) {
    try {
      guesses.refuse();
    } catch (const base::ConfigError& error) {
      return error.violations();
    }
    return {};
  }
};

TEST(Guesses, ThereAreNoneWhereAllIsMeasured) { EXPECT_TRUE(Measured().refused(24).empty()); }

TEST(Guesses, NameAllKernelsAndTheNearest) {
  Measured measured;
  std::erase_if(measured.machine.kernels, [](const auto& row) { return row.key.kernel == "load"; });
  const auto refused = measured.refused(48);
  std::string all;
  for (const auto& violation : refused) {
    EXPECT_EQ(violation.key, "no-extrapolation");
    all += to_string(violation) + "\n";
  }
  EXPECT_NE(
      all.find(
          "no-extrapolation = cpu linear+relu forward float32 48x20x30 threads=1 active_ranks=1: would be "
          "extrapolated; the nearest that the machine file has is cpu linear+relu forward float32 "
          "24x20x30 threads=1 active_ranks=1"),
      std::string::npos)
      << all;
  EXPECT_NE(all.find("load input float32 48x20 threads=1 active_ranks=1: would be modelled; the machine file "
                     "has no such kernel of any shape"),
            std::string::npos)
      << all;
  EXPECT_EQ(all.find("update"), std::string::npos) << "of no samples, and measured: " << all;
  EXPECT_TRUE(measured.refused(24).size() == 2) << "inputs and labels";
}

/// One rank has all kernels, the other none of them; half of the time is known so.
TEST(Guesses, AreThoseOfEachMachine) {
  Measured measured;
  auto& machine = measured.machine;
  machine.parts = {{.first = 1, .last = 1, .name = "other", .machine = machine::Machine::shipped()}};
  auto run = measured.run;
  run.train.batch = 48;
  const auto subject = [&] { return subject_on(run, {.data = 2}, machine, 1); };
  const auto refused = [&] {
    Guesses guesses(machine);
    guesses.add(subject(), std::array{std::int64_t{48}});
    return Measured::thrown_by(guesses);
  };
  const auto told = refused();
  EXPECT_GT(told.size(), 5U);
  for (const auto& violation : told)
    EXPECT_NE(violation.message.find("; other has no such kernel of any shape"), std::string::npos)
        << to_string(violation);
  const auto measured_share = [&] {
    return bases_of(subject(), roles_of(subject()), machine,
                    48)[static_cast<std::size_t>(cost::Basis::measured)];
  };
  EXPECT_GT(measured_share(), 0);
  EXPECT_LT(measured_share(), 1);
  machine.parts[0].machine.kernels = machine.kernels;
  EXPECT_TRUE(refused().empty());
  EXPECT_EQ(measured_share(), 1);
}

/// Where all fits into a cache, but not into a part of it.
TEST(Guesses, OfCrowdedCoresAreTheirOwn) {
  Measured measured;
  measured.machine.caches = {{.bytes = kernels::Bytes(1 << 24)}};
  auto subject = subject_on(measured.run, {}, measured.machine, 1);
  Guesses guesses(measured.machine);
  guesses.add(subject, std::array{std::int64_t{24}});
  EXPECT_TRUE(Measured::thrown_by(guesses).empty());
  subject.execution.crowding = 1 << 20;
  guesses.add(subject, std::array{std::int64_t{24}});
  EXPECT_FALSE(Measured::thrown_by(guesses).empty());
}

TEST(Guesses, OfPlansAndScalingAreThoseOfAllTheirGrids) {
  const Measured measured;
  Guesses plans(measured.machine), one(measured.machine), two(measured.machine);
  plans.add_candidates(measured.run, 2, Shares::as_the_run_says, collective::AlgorithmTable::shipped(),
                       std::array{measured.run.train.batch});
  EXPECT_GT(Measured::thrown_by(plans).size(), 5U);
  one.add_scaling(measured.run, collective::AlgorithmTable::shipped(), 1, 1);
  EXPECT_TRUE(Measured::thrown_by(one).empty());
  two.add_scaling(measured.run, collective::AlgorithmTable::shipped(), 1, 2);
  EXPECT_FALSE(Measured::thrown_by(two).empty());
}

}  // namespace
}  // namespace partita::predict
