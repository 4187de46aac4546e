/// Bubbles and stashes of the schedules, as the built programs have them, against closed forms.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "grid_programs.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {
namespace {

using step::Kind;
using step::Phase;
using step::Schedule;

/// Seconds of one pass of one chunk: forward, input gradient, weight gradient.
struct PassSeconds {
  double forward = 1, input = 1, weight = 1;
};

/// Every pass of every chunk takes the same time: its last layer's instruction has all of it. (Chunks have
/// two layers, so that the first one has an input gradient to compute too.) Messages take no time.
Costs equal_chunks(const step::ProgramsByRank& programs, const PassSeconds& pass) {
  const auto instruction = [&programs, pass](int rank, const step::Instruction& i) {
    if (!i.unit) return seconds(0);
    const auto& units = programs[static_cast<std::size_t>(rank)]->units;
    const auto next = *i.unit + 1;
    if (units.has(next) && units[next].chunk == units[*i.unit].chunk) return seconds(0);
    return seconds(i.kind == Kind::forward  ? pass.forward
                   : i.phase == Phase::data ? pass.input
                                            : pass.weight);
  };
  return costs_of(programs, {.instruction = instruction});
}

struct Pipeline {
  model::ModelSpec model;
  step::Plan plan;
  step::Roles grid;
  Pipeline(int stages, const step::PipelineOptions& options)
      : model(equal_layers(2 * stages * options.chunks)),
        plan(plan_of(model, {.grid = {.pipeline = stages}, .pipeline = options})),
        grid(programs_of(model, plan)) {
    for (std::size_t c = 0; c < plan.partition.size(); ++c)
      base::expect(plan.partition[c] == 2 * static_cast<int>(c), "chunks are equal");
  }
};

double bubble(int stages, const step::PipelineOptions& options, const PassSeconds& pass) {
  const Pipeline pipeline(stages, options);
  return simulate(pipeline.grid.by_rank, equal_chunks(pipeline.grid.by_rank, pass), 4).idle_fraction();
}

const std::vector<PassSeconds> costs{{1, 1, 1}, {1, 1.5, 0.5}, {0.75, 1.25, 0.5}};

TEST(Bubble, OfTheNaiveSchedule) {
  for (int p = 1; p <= 6; ++p)
    for (const int m : {1, 2, 5})
      for (const auto& pass : costs)
        EXPECT_NEAR(bubble(p, {Schedule::naive, m}, pass), (p - 1.0) / p, 1e-9) << p << ' ' << m;
}

TEST(Bubble, OfGPipeAndOneForwardOneBackward) {
  for (const auto& options : {step::PipelineOptions{.schedule = Schedule::gpipe},
                              step::PipelineOptions{.schedule = Schedule::one_f_one_b},
                              step::PipelineOptions{.schedule = Schedule::one_f_one_b, .warmup = 2}})
    for (int p = 1; p <= 8; ++p)
      for (int m = 1; m <= 12; ++m)
        for (const auto& pass : costs) {
          auto tried = options;
          tried.microbatches = m;
          EXPECT_NEAR(bubble(p, tried, pass), (p - 1.0) / (m + p - 1), 1e-9)
              << to_string(tried.schedule) << " warm-up " << tried.warmup << " p " << p << " m " << m;
        }
}

TEST(Bubble, OfSeveralChunksWhenTheStagesDivideTheMicrobatches) {
  for (const auto schedule : {Schedule::interleaved, Schedule::gpipe})
    for (int p = 1; p <= 6; ++p)
      for (int v = 1; v <= 4; ++v)
        for (int groups = 1; groups <= 3; ++groups)
          for (const auto& pass : costs) {
            const int m = groups * p;
            EXPECT_NEAR(bubble(p, {schedule, m, v}, pass), (p - 1.0) / (v * m + p - 1), 1e-9)
                << to_string(schedule) << " p " << p << " m " << m << " v " << v;
          }
}

/// Idle (p − 1)(F + I − W) on every rank, if m ≥ p and W ≤ min(F, I).
TEST(Bubble, OfZeroBubbleH1) {
  for (int p = 1; p <= 8; ++p)
    for (int m = p; m <= 2 * p + 1; ++m)
      for (const auto& pass : costs) {
        const Pipeline pipeline(p, {Schedule::zb_h1, m});
        const auto simulation = simulate(pipeline.grid.by_rank, equal_chunks(pipeline.grid.by_rank, pass), 4);
        const auto idle = seconds((p - 1) * (pass.forward + pass.input - pass.weight));
        for (int r = 0; r < p; ++r)
          EXPECT_EQ(simulation.steps.back()[static_cast<std::size_t>(r)].idle(), idle)
              << "p " << p << " m " << m << " rank " << r;
        EXPECT_EQ(simulation.step_duration(), idle + seconds(m * (pass.forward + pass.input + pass.weight)));
      }
}

// --- stashes ---

/// The most (chunk, micro-batch) whose activations are alive at once: from the first instruction that writes
/// an output of one of the chunk's units to the last that reads one. What a chunk receives is not counted (it
/// is posted ahead, so that one more buffer may be in use), nor are gradients.
int peak_stash(const step::Program& program) {
  struct Life {
    int first = -1, last = -1;
  };
  std::map<std::pair<step::ChunkId, step::MicrobatchId>, Life> lives;
  const auto life = [&](step::SlotId slot) -> Life* {
    const auto& s = program.slots[slot];
    if (s.role != step::SlotRole::activation || !s.unit) return nullptr;
    return &lives[{program.units[*s.unit].chunk, *s.microbatch}];
  };
  for (int i = 0; i < static_cast<int>(program.instructions.size()); ++i) {
    const auto& instruction = program.instructions[static_cast<std::size_t>(i)];
    for (const auto slot : instruction.writes)
      if (auto* l = life(slot); l && l->first < 0) l->first = i;
    for (const auto slot : instruction.reads)
      if (auto* l = life(slot)) l->last = i;
  }
  int peak = 0;
  for (int i = 0; i < static_cast<int>(program.instructions.size()); ++i)
    peak = std::max(peak, static_cast<int>(std::count_if(lives.begin(), lives.end(), [&](const auto& l) {
                      return l.second.first <= i && i <= l.second.last;
                    })));
  return peak;
}

void expect_stash(const step::PipelineOptions& options, int stages, int (*expected)(int p, int s, int m)) {
  const Pipeline pipeline(stages, options);
  for (int s = 0; s < stages; ++s)
    EXPECT_EQ(peak_stash(pipeline.grid.programs[static_cast<std::size_t>(s)]),
              expected(stages, s, options.microbatches))
        << named(pipeline.plan) << " stage " << s;
}

TEST(Stash, InMicrobatches) {
  for (int p = 1; p <= 6; ++p)
    for (int m = 1; m <= 9; ++m) {
      expect_stash({Schedule::naive, m}, p, [](int, int, int) { return 1; });
      expect_stash({Schedule::gpipe, m}, p, [](int, int, int microbatches) { return microbatches; });
      expect_stash({Schedule::one_f_one_b, m}, p,
                   [](int stages, int s, int microbatches) { return std::min(microbatches, stages - s); });
      expect_stash({.schedule = Schedule::one_f_one_b, .microbatches = m, .warmup = 2}, p,
                   [](int stages, int s, int microbatches) {
                     return std::min(microbatches, 2 * (stages - s - 1) + 1);
                   });
      expect_stash({Schedule::zb_h1, m}, p,
                   [](int stages, int, int microbatches) { return std::min(microbatches, stages); });
    }
}

TEST(Stash, OfInterleavingInChunks) {
  for (int p = 1; p <= 5; ++p)
    for (int v = 1; v <= 3; ++v)
      for (int m = 1; m <= 11; ++m) {
        const Pipeline pipeline(p, {Schedule::interleaved, m, v});
        for (int s = 0; s < p; ++s)
          EXPECT_LE(peak_stash(pipeline.grid.programs[static_cast<std::size_t>(s)]),
                    std::min(m * v, 2 * (p - s - 1) + (v - 1) * p + 1))
              << named(pipeline.plan) << " stage " << s;
      }
}

}  // namespace
}  // namespace partita::sim
