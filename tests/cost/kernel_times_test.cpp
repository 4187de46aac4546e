/// Times of instructions on machines that were measured: rows are met, what lies between them follows, what
/// lies beyond is said to.
#include "partita/cost/kernel_times.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "../models.hpp"
#include "partita/cost/time.hpp"
#include "partita/kernels/optimizer.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"

namespace partita::cost {
namespace {

using machine::KernelKey;
using machine::Machine;
using step::Kind;

using Extents = std::vector<std::int64_t>;

constexpr std::string_view forward = "forward";

/// Seconds of a product as a core might take them: a call, whole vectors of outputs, operands.
double product_seconds(const Extents& s) {
  const auto padded = 16 * std::ceil(static_cast<double>(s[2]) / 16);
  const auto samples = static_cast<double>(s[0]), in = static_cast<double>(s[1]),
             out = static_cast<double>(s[2]);
  return 2e-6 + 2 * samples * in * padded / 70e9 + 4 * (samples * in + in * out) / 30e9;
}

KernelKey product_key(const Extents& shape, std::string_view phase = forward, int active_ranks = 1,
                      const std::string& kernel = "linear") {
  return {.implementation = "cpu",
          .kernel = kernel,
          .phase = std::string(phase),
          .type = "float32",
          .shape = shape,
          .active_ranks = active_ranks};
}

/// Adds a row of so many seconds.
void measure(Machine& machine, const KernelKey& key, double seconds) {
  machine.kernels.push_back({.key = key,
                             .runs = 1,
                             .median_seconds = seconds,
                             .lower_quartile_seconds = seconds,
                             .upper_quartile_seconds = seconds});
}

/// The shipped machine with products measured for three numbers of samples, inputs and outputs each.
Machine measured(const std::function<double(const Extents&)>& seconds,
                 const std::vector<std::int64_t>& outputs = {10, 64, 300}, int active_ranks = 1) {
  auto machine = Machine::shipped();
  for (const std::int64_t samples : {8, 64, 512})
    for (const std::int64_t in : {32, 100, 784})
      for (const auto out : outputs)
        measure(machine, product_key({samples, in, out}, forward, active_ranks), seconds({samples, in, out}));
  return machine;
}

/// The first instruction of a kind in a step of one rank.
InstructionTime time_of(const Machine& machine, Kind kind, const model::ModelSpec& model,
                        std::int64_t samples, const Execution& execution = {}) {
  const auto program = step::build_training_program(model, plan::choose(model, {.batch = samples}), {}, {});
  for (const auto& i : program.instructions)
    if (i.kind == kind) return ProgramTimes(KernelTimes(machine, execution), program, samples).of(i, samples);
  throw base::ContractError("no such instruction");
}

InstructionTime product_time(const Machine& machine, std::int64_t samples, std::int64_t in, std::int64_t out,
                             const Execution& execution = {}, const std::string& options = "") {
  const auto model = tests::model_of(std::to_string(in), {"linear " + std::to_string(out) + options});
  return time_of(machine, Kind::forward, model, samples, execution);
}

machine::Picoseconds picoseconds(double seconds) { return std::llround(seconds * 1e12); }

void expect_near(const InstructionTime& time, double seconds, double relative, Basis basis) {
  EXPECT_NEAR(static_cast<double>(time.time) * 1e-12, seconds, seconds * relative);
  EXPECT_EQ(time.basis, basis) << to_string(time.basis);
}

TEST(KernelTimes, AreModelledWhereNothingWasMeasured) {
  const auto model = tests::model_of(
      "2x9x8", {"conv 3 kernel=3 padding=1", "relu", "batchnorm", "maxpool 2", "flatten", "linear 5"});
  const auto program = step::build_training_program(model, plan::choose(model, {.batch = 6}), {}, {});
  auto other = measured(product_seconds);
  for (auto& row : other.kernels)
    row.key.implementation = "cuda";
  for (const auto& machine : {Machine::shipped(), other}) {
    const ProgramTimes times(KernelTimes(machine), program, 6);
    for (const auto& i : program.instructions)
      EXPECT_EQ(
          times.of(i, 6),
          (InstructionTime{static_cast<machine::Picoseconds>(picoseconds_of(work_of(program, i, 6), machine)),
                           Basis::modelled}));
  }
}

TEST(KernelTimes, AreThoseOfTheRowWhereThereIsOne) {
  auto machine = measured(product_seconds);
  machine.kernels[13].median_seconds = 0.5;  // however much it differs from the others
  for (const auto& row : machine.kernels) {
    const auto& s = row.key.shape;
    EXPECT_EQ(product_time(machine, s[0], s[1], s[2]),
              (InstructionTime{picoseconds(row.median_seconds), Basis::measured}));
  }
}

/// Widths apart from all that were measured, of whole vectors and of less. The model's opinion, a thousandth
/// of a row's, moves a time by some thousandths.
TEST(KernelTimes, BetweenRowsFollowTheirParts) {
  const auto machine = measured(product_seconds, {10, 16, 50, 300});
  for (const std::int64_t out : {12, 20, 33, 128, 299})
    for (const std::int64_t samples : {8, 20, 500})
      expect_near(product_time(machine, samples, 100, out), product_seconds({samples, 100, out}), 0.01,
                  Basis::interpolated);
}

/// What no sum of parts explains, here an efficiency that falls with the inputs, is taken from the nearest
/// rows: a time is nearer to what these say than to what the others do.
TEST(KernelTimes, BetweenRowsFollowWhatTheseDifferBy) {
  const auto machine = measured([](const Extents& s) { return product_seconds(s) * (s[1] > 200 ? 3 : 1); });
  for (const std::int64_t out : {12, 128, 200})
    for (const auto& [in, is_slow] : {std::pair(101, false), std::pair(783, true)}) {
      const auto time = product_time(machine, 64, in, out);
      const double ratio = static_cast<double>(time.time) * 1e-12 / product_seconds({64, in, out});
      EXPECT_EQ(ratio > std::sqrt(3), is_slow) << ratio;
      EXPECT_EQ(time.basis, Basis::interpolated);
    }
}

/// A row whose few runs lie far apart may be wrong by as much: others nearby are believed more.
TEST(KernelTimes, BetweenRowsFollowThoseMoreThatAreSure) {
  auto machine = measured(product_seconds);
  auto& odd = machine.kernels[13];
  const auto& s = odd.key.shape;
  odd.median_seconds *= 3;
  odd.upper_quartile_seconds *= 3;
  odd.lower_quartile_seconds *= 3;
  const auto ratio = [&] {
    return static_cast<double>(product_time(machine, s[0], s[1] + 1, s[2]).time) * 1e-12 /
           product_seconds({s[0], s[1] + 1, s[2]});
  };
  const double sure = ratio();
  odd.runs = 100;
  EXPECT_EQ(ratio(), sure);  // all runs took as long
  odd.runs = 1;
  odd.lower_quartile_seconds /= 3;
  const double of_one = ratio();
  odd.runs = 10;
  const double of_ten = ratio();
  EXPECT_GT(sure, 2);
  EXPECT_LT(of_one, 1.2);
  EXPECT_GT(of_ten, of_one);
  EXPECT_LT(of_ten, sure);
}

/// A machine on which everything takes twice as long is twice as slow, and its ratios stay.
TEST(KernelTimes, ScaleWithTheRows) {
  auto twice = measured([](const Extents& s) { return 2 * product_seconds(s); });
  const auto once = measured(product_seconds);
  for (const std::int64_t samples : {1, 33, 4096})
    expect_near(product_time(twice, samples, 90, 40),
                2e-12 * static_cast<double>(product_time(once, samples, 90, 40).time), 1e-6,
                product_time(once, samples, 90, 40).basis);
}

TEST(KernelTimes, BeyondTheRowsSayThatTheyAre) {
  const auto machine = measured(product_seconds);
  for (const auto& [samples, in, out] : std::vector<std::tuple<int, int, int>>{{7, 100, 64},
                                                                               {513, 100, 64},
                                                                               {64, 31, 64},
                                                                               {64, 785, 64},
                                                                               {64, 100, 9},
                                                                               {64, 100, 301},
                                                                               {4096, 4096, 4096}})
    expect_near(product_time(machine, samples, in, out), product_seconds({samples, in, out}), 0.03,
                Basis::extrapolated);
}

/// An image of one row has as many pixels as one that lies between those that were measured.
TEST(KernelTimes, AreInterpolatedOnlyWhereEachExtentLiesBetween) {
  auto machine = Machine::shipped();
  for (const std::int64_t side : {8, 32})
    measure(machine,
            {.implementation = "cpu",
             .kernel = "conv",
             .phase = std::string(forward),
             .type = "float32",
             .layout = "nchw",
             .shape = {8, 1, side, side, 4, 3, 3, 1, 1, 1, 1}},
            1e-6 * static_cast<double>(side * side));
  const auto basis = [&](const std::string& input) {
    const auto model = tests::model_of(input, {"conv 4 kernel=3 padding=1", "flatten", "linear 3"});
    return time_of(machine, Kind::forward, model, 8).basis;
  };
  EXPECT_EQ(basis("1x16x16"), Basis::interpolated);
  EXPECT_EQ(basis("1x4x64"), Basis::extrapolated);
  EXPECT_EQ(basis("1x33x32"), Basis::extrapolated);
}

/// One row says how fast the machine is; that a larger product takes longer nobody needs to measure.
TEST(KernelTimes, OfOneRowGrowWithTheWork) {
  auto machine = Machine::shipped();
  measure(machine, product_key({64, 100, 64}), 1e-4);
  expect_near(product_time(machine, 640, 100, 64), 1e-3, 0.2, Basis::extrapolated);
  expect_near(product_time(machine, 64, 1000, 64), 1e-3, 0.2, Basis::extrapolated);
}

TEST(KernelTimes, OfARelativeAreExtrapolated) {
  const auto model = tests::model_of("100", {"linear 64", "relu", "linear 3"});
  const auto machine = measured(product_seconds);
  expect_near(time_of(machine, Kind::forward, model, 64), product_seconds({64, 100, 64}), 0.01,
              Basis::extrapolated);
  expect_near(product_time(machine, 64, 100, 64, {}, " bias=false"), product_seconds({64, 100, 64}), 0.01,
              Basis::extrapolated);
  auto closer = machine;
  measure(closer, product_key({64, 100, 64}, forward, 1, "linear+relu"), 1e-3);
  EXPECT_EQ(time_of(closer, Kind::forward, model, 64), (InstructionTime{picoseconds(1e-3), Basis::measured}));
  EXPECT_EQ(time_of(machine, Kind::backward, model, 64).basis, Basis::modelled) << "another phase";
}

TEST(KernelTimes, LieBetweenThoseOfFewerAndOfMoreActiveRanks) {
  auto machine = measured(product_seconds);
  for (const int ranks : {2, 8})
    for (const auto& row : measured(product_seconds, {10, 64, 300}, ranks).kernels)
      measure(machine, row.key, row.median_seconds * ranks);
  const auto time = [&](int ranks) { return product_time(machine, 64, 100, 64, {.active_ranks = ranks}); };
  const double one = product_seconds({64, 100, 64});
  expect_near(time(1), one, 1e-6, Basis::measured);
  expect_near(time(2), 2 * one, 1e-6, Basis::measured);
  expect_near(time(4), 4 * one, 0.25, Basis::interpolated);
  expect_near(time(5), 5 * one, 0.25, Basis::interpolated);
  expect_near(time(16), 8 * one, 0.4, Basis::extrapolated);
  EXPECT_EQ(product_time(machine, 64, 100, 64, {.threads = 2}).basis, Basis::modelled) << "other threads";
}

TEST(KernelTimes, ThatAreModelledShareTheMemory) {
  auto machine = Machine::shipped();
  machine.shared_memory = {{2, 4e9}, {4, 1e9}};
  const auto model = tests::model_of("100", {"linear 64"});
  const auto time = [&](int ranks) {
    return time_of(machine, Kind::load, model, 64, {.active_ranks = ranks}).time;
  };
  const double bytes = 2 * 4 * 64 * 100;
  EXPECT_EQ(time(1), picoseconds(bytes / 10e9));
  EXPECT_EQ(time(2), picoseconds(bytes / 4e9));
  EXPECT_EQ(time(3), picoseconds(bytes / 4e9));
  EXPECT_EQ(time(64), picoseconds(bytes / 1e9));
}

/// Of six ranks of two nodes one, or three of a node, are another machine: only its own share its memory.
TEST(KernelTimes, OfSeveralMachinesCountRanksThatAreTheSame) {
  auto machine = Machine::shipped();
  machine.levels = {{.name = "node", .ranks = 4}, {.name = "all"}};
  machine.parts = {{.first = 1, .last = 1, .machine = machine}, {.first = 4, .last = 9, .machine = machine}};
  const auto active = [&](int of_node, int part, int ranks) {
    return of_part({.active_ranks = of_node}, machine, part, ranks).active_ranks;
  };
  EXPECT_EQ(active(4, 0, 7), 3);
  EXPECT_EQ(active(4, 1, 7), 1);
  EXPECT_EQ(active(4, 2, 7), 3);
  EXPECT_EQ(active(1, 2, 7), 1) << "one alone";
  machine.parts[1].machine.shared_memory = {{3, 1e9}};
  const auto model = tests::model_of("100", {"linear 64"});
  const auto program = step::build_training_program(model, plan::choose(model, {.batch = 64}), {}, {});
  const auto load = std::ranges::find(program.instructions, Kind::load, &step::Instruction::kind);
  const auto time = [&](int part, int ranks) {
    const JobTimes times(machine, {.active_ranks = 4}, ranks);
    return ProgramTimes(times.of_part(part), program, 64).of(*load, 64).time;
  };
  const double bytes = 2 * 4 * 64 * 100;
  EXPECT_EQ(time(0, 7), picoseconds(bytes / 10e9));
  EXPECT_EQ(time(1, 7), picoseconds(bytes / 10e9));
  EXPECT_EQ(time(2, 7), picoseconds(bytes / 1e9));
}

TEST(KernelTimes, OfAnUpdateThatIsModelledCountTheOptimizersStates) {
  const auto& machine = Machine::shipped();
  const auto model = tests::model_of("1000", {"linear 1000"});
  const double vector = 4.0 * (1000 * 1000 + 1000) / 10e9;
  for (const auto& rule : kernels::optimizers)
    EXPECT_EQ(time_of(machine, Kind::update, model, 1, {.optimizer = rule.name}).time,
              picoseconds(static_cast<double>(3 + 2 * rule.states.size()) * vector))
        << rule.name;
}

/// Rows of nothing, which a calibration may meet where shares are empty.
TEST(KernelTimes, OfAnIdleRankAreFinite) {
  auto machine = Machine::shipped();
  measure(machine, {.implementation = "cpu", .kernel = "idle", .type = "float32", .shape = {0}}, 1e-7);
  measure(machine,
          {.implementation = "cpu", .kernel = "update", .phase = "sgd", .type = "float32", .shape = {0}},
          1e-7);
  const auto model = tests::model_of("100", {"linear 64"});
  EXPECT_EQ(time_of(machine, Kind::forward, model, 0), (InstructionTime{picoseconds(1e-7), Basis::measured}));
  EXPECT_GT(time_of(machine, Kind::update, model, 1).time, 0);
}

}  // namespace
}  // namespace partita::cost
