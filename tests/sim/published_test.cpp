/// Bubbles that others calculated: Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, Table 5,
/// from the times of their Table 9.
#include <gtest/gtest.h>

#include <algorithm>

#include "grid_programs.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {
namespace {

using step::Kind;
using step::Phase;
using step::Schedule;

/// Milliseconds of a pass of a stage and of a message; the share of the longest stage's time in which it
/// computes nothing.
struct Row {
  const char* model;
  int layers, stages, microbatches;
  double forward, input, weight, message;
  double one_f_one_b, interleaved, zb_h1;
};

constexpr Row table[] = {{"1.5B", 22, 8, 24, 18.522, 18.086, 9.337, 0.601, 0.2431, 0.1055, 0.1585},
                         {"1.5B", 22, 8, 32, 18.513, 18.086, 9.331, 0.626, 0.1985, 0.0818, 0.1242},
                         {"1.5B", 22, 8, 64, 18.546, 18.097, 9.321, 0.762, 0.1240, 0.0443, 0.0674},
                         {"6.2B", 30, 8, 24, 29.718, 29.444, 19.927, 0.527, 0.2347, 0.0808, 0.1323},
                         {"6.2B", 30, 8, 32, 29.802, 29.428, 19.530, 0.577, 0.1898, 0.0628, 0.1045},
                         {"6.2B", 30, 8, 64, 29.935, 29.621, 19.388, 0.535, 0.1091, 0.0320, 0.0554},
                         {"14.6B", 46, 16, 48, 11.347, 11.248, 8.132, 0.377, 0.2552, 0.1104, 0.1397},
                         {"14.6B", 46, 16, 64, 11.307, 11.254, 8.101, 0.379, 0.2082, 0.0852, 0.1088},
                         {"14.6B", 46, 16, 128, 11.325, 11.308, 8.109, 0.378, 0.1251, 0.0445, 0.0576},
                         {"28.3B", 62, 32, 96, 10.419, 10.207, 7.715, 0.408, 0.2646, 0.1493, 0.1421},
                         {"28.3B", 62, 32, 128, 10.408, 10.204, 7.703, 0.408, 0.2168, 0.1164, 0.1106},
                         {"28.3B", 62, 32, 256, 10.402, 10.248, 7.698, 0.460, 0.1352, 0.0624, 0.0594}};

/// A chunk of two layers, of which the last has all of a pass: so that the first one, too, has an input
/// gradient.
double bubble(const Row& row, const step::PipelineOptions& options) {
  const auto model = equal_layers(2 * row.stages * options.chunks);
  const auto plan = plan_of(model, {.grid = {.pipeline = row.stages}, .pipeline = options});
  const auto grid = programs_of(model, plan);
  const auto cost_of = [&](int rank, const step::Instruction& i) {
    const auto& units = grid.by_rank[static_cast<std::size_t>(rank)]->units;
    if (!i.unit || (units.has(*i.unit + 1) && units[*i.unit + 1].chunk == units[*i.unit].chunk))
      return seconds(0);
    const double pass = i.kind == Kind::forward  ? row.forward
                        : i.phase == Phase::data ? row.input
                                                 : row.weight;
    return seconds(1e-3 * pass / options.chunks);
  };
  const auto on_the_way = [&](int, const step::Transfer& t) {
    return seconds(is_message(t) ? 1e-3 * row.message : 0);
  };
  const auto step =
      simulate(grid.by_rank,
               costs_of(grid.by_rank, {.instruction = cost_of, .transfer = on_the_way, .eager = true}), 1)
          .steps[0];
  Picoseconds longest = 0;
  for (const auto& rank : step)
    longest = std::max(longest, rank.end - rank.begin);
  const double cost = 1e3 * static_cast<double>(longest) * 1e-12;
  return (cost - row.microbatches * (row.forward + row.input + row.weight)) / cost;
}

/// The authors' interleaving sends at other moments than ours.
TEST(Published, BubblesOfZeroBubblePipelines) {
  constexpr double last_decimal = 5e-5, of_interleaving = 0.0036;
  for (const auto& row : table) {
    const int layers_of_stage = (row.layers + 2) / row.stages;  // the first and the last stage have one less
    EXPECT_NEAR(bubble(row, {Schedule::one_f_one_b, row.microbatches}), row.one_f_one_b, last_decimal)
        << row.model;
    EXPECT_NEAR(bubble(row, {Schedule::zb_h1, row.microbatches}), row.zb_h1, last_decimal) << row.model;
    EXPECT_NEAR(bubble(row, {Schedule::interleaved, row.microbatches, layers_of_stage}), row.interleaved,
                of_interleaving)
        << row.model;
  }
}

}  // namespace
}  // namespace partita::sim
