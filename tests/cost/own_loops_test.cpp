/// Times of convolutions that a CPU computes by loops of its own, beside those that it leaves to a library.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "../models.hpp"
#include "partita/cost/kernel_times.hpp"
#include "partita/kernels/few_channels.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"

namespace partita::cost {
namespace {

using machine::Machine;

/// By own loops 90 GFLOP/s of all lanes; by the library 30 GFLOP/s of what the result needs.
double seconds(const kernels::ConvolutionShape& s) {
  const double own = kernels::flops_of_own_forward(s);
  const auto sums = static_cast<double>(s.batch * s.out_height() * s.out_width() * s.kernel.area());
  return own > 0 ? 1e-6 + own / 90e9 : 5e-6 + 2 * sums * static_cast<double>(s.channels * s.filters) / 30e9;
}

kernels::ConvolutionShape shape(std::int64_t channels, std::int64_t side, std::int64_t filters,
                                std::int64_t padding) {
  return {.batch = 16,
          .channels = channels,
          .height = side,
          .width = side,
          .filters = filters,
          .kernel = 5,
          .padding = padding,
          .layout = kernels::Layout::nhwc};
}

machine::KernelTime row_of(const kernels::ConvolutionShape& s) {
  const double took = seconds(s);
  return {.key = {.implementation = "cpu",
                  .kernel = "conv",
                  .phase = "forward",
                  .type = "float32",
                  .layout = "nhwc",
                  .shape = {s.batch, s.channels, s.height, s.width, s.filters, 5, 5, 1, 1, s.padding.h,
                            s.padding.w}},
          .runs = 1,
          .median_seconds = took,
          .lower_quartile_seconds = took,
          .upper_quartile_seconds = took};
}

InstructionTime time_on(const Machine& machine, const kernels::ConvolutionShape& s) {
  const auto side = std::to_string(s.height);
  const auto model = tests::model_of(
      std::to_string(s.channels) + "x" + side + "x" + side,
      {"conv " + std::to_string(s.filters) + " kernel=5 padding=" + std::to_string(s.padding.h), "flatten",
       "linear 5"});
  const auto program = step::build_training_program(model, plan::choose(model, {.batch = s.batch}), {},
                                                    {.layout = kernels::Layout::nhwc});
  const auto& first = *std::ranges::find(program.instructions, step::Kind::forward, &step::Instruction::kind);
  return ProgramTimes(KernelTimes(machine), program, s.batch).of(first, s.batch);
}

/// Widths, sides and channels apart from all that were measured: neither kind misleads the other.
TEST(OwnLoops, TakeWhatTheirLanesCompute) {
  auto machine = Machine::shipped();
  for (const std::int64_t channels : {1, 4, 12})
    for (const std::int64_t side : {9, 16, 32})
      for (const std::int64_t filters : {6, 16, 32})
        for (const std::int64_t padding : {0, 2})
          machine.kernels.push_back(row_of(shape(channels, side, filters, padding)));
  for (const std::int64_t channels : {2, 6})
    for (const std::int64_t side : {14, 27})
      for (const std::int64_t filters : {10, 20})
        for (const std::int64_t padding : {0, 2}) {
          const auto s = shape(channels, side, filters, padding);
          const auto time = time_on(machine, s);
          constexpr double tolerance = 0.12;
          EXPECT_NEAR(static_cast<double>(time.time) * 1e-12, seconds(s), seconds(s) * tolerance);
          EXPECT_EQ(time.basis, Basis::interpolated);
        }
}

/// Rows of a library say nothing certain of own loops.
TEST(OwnLoops, AreExtrapolatedFromALibrarysRows) {
  auto machine = Machine::shipped();
  for (const std::int64_t channels : {4, 12})
    for (const std::int64_t filters : {6, 32})
      machine.kernels.push_back(row_of(shape(channels, 16, filters, 2)));
  for (const std::int64_t channels : {16, 64})
    machine.kernels.push_back(row_of(shape(channels, 16, 20, 0)));
  EXPECT_EQ(time_on(machine, shape(8, 16, 20, 0)).basis, Basis::extrapolated);
  EXPECT_EQ(time_on(machine, shape(8, 16, 20, 2)).basis, Basis::interpolated);
}

}  // namespace
}  // namespace partita::cost
