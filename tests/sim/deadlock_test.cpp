/// No program that `step` builds can deadlock under rendezvous; and the check sees those that can.
#include "partita/sim/deadlock.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "grid_programs.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {
namespace {

using collective::Operation;
using collective::Purpose;
using step::Kind;
using step::Pass;
using step::Program;
using step::Schedule;
using step::TransferId;
using topology::Axis;

void expect_none(const step::Roles& grid, const step::Plan& plan) {
  const auto deadlock = find_deadlock(grid.by_rank, {.same_order = true});
  EXPECT_FALSE(deadlock) << named(plan) << "\n" << to_string(*deadlock, grid.by_rank);
}

TEST(Deadlock, NoScheduleDeadlocksOnAPipeline) {
  int cases = 0;
  for (int stages = 1; stages <= 8; ++stages)
    for (int chunks = 1; chunks <= 4; ++chunks) {
      const auto model = equal_layers(stages * chunks);
      auto plan = plan_of(model, {.grid = {.pipeline = stages}, .pipeline = {.chunks = chunks}});
      for (const auto& tried : every_schedule)
        for (int m = 1; m <= 16 && chunks <= tried.most_chunks; ++m) {
          plan.pipeline = {tried.schedule, m, chunks, tried.warmup};
          for (const bool training : {true, false}) {
            expect_none(programs_of(model, plan, training), plan);
            ++cases;
          }
        }
    }
  EXPECT_EQ(cases, 2 * 8 * 16 * (3 * 4 + 3));
}

/// Chunks below the lowest trained layer have no backward pass that would free their buffers.
TEST(Deadlock, NoScheduleDeadlocksAboveFrozenLayers) {
  for (int stages = 2; stages <= 4; ++stages)
    for (int chunks = 1; chunks <= 3; ++chunks)
      for (const int frozen : {1, stages, stages * chunks - 1}) {
        if (frozen >= stages * chunks) continue;
        std::vector<std::string> layers(static_cast<std::size_t>(stages * chunks), "linear 4");
        for (int l = 0; l < stages * chunks; ++l)
          layers[static_cast<std::size_t>(l)] +=
              " stage=" + std::to_string(l % stages) + (l < frozen ? " frozen" : "");
        const auto model = model_of("4", layers);
        auto plan = plan_of(model, {.grid = {.pipeline = stages}, .pipeline = {.chunks = chunks}});
        for (const auto& tried : every_schedule)
          for (const int m : {1, 2, 3, 7, 16}) {
            if (chunks > tried.most_chunks) continue;
            plan.pipeline = {tried.schedule, m, chunks, tried.warmup};
            expect_none(programs_of(model, plan), plan);
          }
      }
}

TEST(Deadlock, NoScheduleDeadlocksOnAHybridGrid) {
  for (const int stages : {1, 2, 3})
    for (const int chunks : {1, 2}) {
      const auto model = model_of(
          "4", {"linear 5 placement=column", "linear 3 placement=row", "relu", "linear 4 placement=batch",
                "linear 4", "linear 4 frozen", "linear 1 placement=column"});
      auto plan = plan_of(model, {.grid = {.data = 2, .pipeline = stages, .tensor = 2},
                                  .batch = 8,
                                  .pipeline = {.chunks = chunks},
                                  .bucket_bytes = kernels::Bytes(50)});
      for (const auto& tried : every_schedule)
        for (const int m : {1, 2, 3, 5}) {
          if (chunks > tried.most_chunks) continue;
          plan.pipeline = {tried.schedule, m, chunks, tried.warmup};
          for (const bool training : {true, false})
            expect_none(programs_of(model, plan, training), plan);
        }
    }
}

// --- the check can fail ---

/// Receives are posted when they are wanted, sends waited for at once.
Program just_in_time(Program program) {
  std::vector<step::Instruction> instructions;
  for (const auto& i : program.instructions) {
    const auto operation = i.transfer ? program.transfers[*i.transfer].operation : Operation::barrier;
    const bool moves_away = (operation == Operation::receive && i.kind == Kind::start) ||
                            (operation == Operation::send && i.kind == Kind::wait);
    if (moves_away) continue;
    auto other = i;
    if (operation == Operation::receive) other.kind = Kind::start, instructions.push_back(other);
    instructions.push_back(i);
    if (operation == Operation::send) other.kind = Kind::wait, instructions.push_back(other);
  }
  program.instructions = std::move(instructions);
  return program;
}

TEST(Deadlock, JustInTimeReceivesAndSendsWaitedForAtOnceDeadlock) {
  for (const auto schedule : {Schedule::one_f_one_b, Schedule::zb_h1, Schedule::interleaved})
    for (int stages = 2; stages <= 4; ++stages)
      for (int chunks = 1; chunks <= (schedule == Schedule::interleaved ? 3 : 1); ++chunks)
        for (int m = 2; m <= 6; ++m) {
          const auto model = equal_layers(stages * chunks);
          const auto plan = plan_of(model, {.grid = {.pipeline = stages}, .pipeline = {schedule, m, chunks}});
          auto grid = programs_of(model, plan);
          for (auto& program : grid.programs)
            program = just_in_time(std::move(program));
          const auto deadlock = find_deadlock(grid.by_rank);
          EXPECT_TRUE(deadlock) << named(plan);
          // Eager sending hides it.
          const auto costs =
              costs_of(grid.by_rank, {.instruction = [](int, const step::Instruction&) { return seconds(1); },
                                      .transfer = [](int, const step::Transfer&) { return seconds(1); },
                                      .eager = true});
          EXPECT_GT(simulate(grid.by_rank, costs, 1).makespan(), 0) << named(plan);
        }
}

TEST(Deadlock, AMissingSendIsNamed) {
  const auto model = equal_layers(3);
  const auto plan = plan_of(model, {.grid = {.pipeline = 3}, .pipeline = {.microbatches = 4}});
  auto grid = programs_of(model, plan);
  auto& sender = grid.programs[1];
  const auto dropped =
      std::find_if(sender.instructions.begin(), sender.instructions.end(), [&](const auto& i) {
        return i.kind == Kind::start && sender.transfers[*i.transfer].operation == Operation::send;
      });
  ASSERT_NE(dropped, sender.instructions.end());
  const auto& transfer = sender.transfers[*dropped->transfer];
  std::erase_if(sender.instructions, [id = dropped->transfer](const auto& i) { return i.transfer == id; });
  const auto deadlock = find_deadlock(grid.by_rank);
  ASSERT_TRUE(deadlock);
  const auto blocked = std::find_if(deadlock->blocked.begin(), deadlock->blocked.end(),
                                    [&](const Blocked& b) { return b.rank == transfer.peer; });
  ASSERT_NE(blocked, deadlock->blocked.end());
  const auto& receiver = *grid.by_rank[static_cast<std::size_t>(*transfer.peer)];
  EXPECT_EQ(receiver.instructions[static_cast<std::size_t>(blocked->instruction)].kind, Kind::wait);
  EXPECT_EQ(receiver.instructions[static_cast<std::size_t>(blocked->instruction)].transfer,
            blocked->transfer);
  EXPECT_EQ(receiver.transfers[blocked->transfer].tag, transfer.tag);
  const std::vector<Party> missing{{1, {}}};
  EXPECT_EQ(blocked->missing, missing);
  EXPECT_NE(to_string(*deadlock, grid.by_rank).find("rank 1 (never starts it)"), std::string::npos);
}

TEST(Deadlock, AMemberThatLeavesOutACollectiveIsNamed) {
  const auto model = equal_layers(2);
  const auto plan = plan_of(model, {.grid = {.data = 3}});
  const auto whole = programs_of(model, plan);
  auto without = whole.programs.front();
  const auto last = *without.transfers.ids().reversed().begin();
  std::erase_if(without.instructions, [&](const auto& i) { return i.transfer == last; });
  const auto deadlock = find_deadlock({whole.by_rank[0], &without, whole.by_rank[2]});
  ASSERT_TRUE(deadlock);
  ASSERT_EQ(deadlock->blocked.size(), 2U);
  for (const auto& blocked : deadlock->blocked) {
    ASSERT_EQ(blocked.missing.size(), 1U);
    EXPECT_EQ(blocked.missing.front().rank, 1);
  }
}

/// Servers that begin with synchronous steps, of which one rank takes no part in the loss.
TEST(Deadlock, TheStartOfARunIsLookedAt) {
  const auto model = equal_layers(2);
  for (const step::Cadence& cadence :
       {step::Cadence{.servers = {.count = 1, .is_asynchronous = true, .synchronous_steps = 3}},
        step::Cadence{.local = {.period = 2, .start = 3}}}) {
    plan::Request request{.grid = {.data = 3}, .cadence = cadence};
    if (cadence.servers.is_on()) request.weights = {1, 1, 0};
    const auto plan = plan_of(model, request);
    const auto whole = programs_of(model, plan);
    expect_none(whole, plan);
    auto without = *whole.by_rank[1];
    std::erase_if(without.instructions, [&](const auto& i) {
      const bool is_of_start = i.in.has(step::StepKind::synchronous) &&
                               !i.in.has(step::StepKind::asynchronous) &&
                               !i.in.has(step::StepKind::averaging);
      return is_of_start && i.transfer && without.transfers[*i.transfer].operation == Operation::all_reduce;
    });
    ASSERT_LT(without.instructions.size(), whole.by_rank[1]->instructions.size());
    EXPECT_TRUE(find_deadlock({whole.by_rank[0], &without, whole.by_rank[2]}));
  }
}

TEST(Deadlock, ExchangedCollectivesAreAMismatchThoughTheyEnd) {
  const topology::GridExtent grid{.data = 2};
  Program program{.grid = grid,
                  .transfers = {{.purpose = Purpose::gradient}, {.purpose = Purpose::metric}},
                  .instructions = {{.kind = Kind::start, .transfer = TransferId(0)},
                                   {.kind = Kind::start, .transfer = TransferId(1)},
                                   {.kind = Kind::wait, .transfer = TransferId(0)},
                                   {.kind = Kind::wait, .transfer = TransferId(1)}}};
  auto exchanged = program;
  std::swap(exchanged.instructions[0], exchanged.instructions[1]);
  EXPECT_FALSE(find_deadlock({&program, &program}, {.same_order = true}));
  EXPECT_FALSE(find_deadlock({&program, &exchanged}));
  const auto deadlock = find_deadlock({&program, &exchanged}, {.same_order = true});
  ASSERT_TRUE(deadlock);
  EXPECT_TRUE(deadlock->blocked.empty());
  ASSERT_EQ(deadlock->mismatches.size(), 2U);
  EXPECT_EQ(deadlock->mismatches.front().one, (Party{0, TransferId(0)}));
  EXPECT_EQ(deadlock->mismatches.front().other, (Party{1, TransferId(1)}));
}

// --- phantoms ---

/// The passes of one stage with the most lenient messages: receives posted before all else, sends waited for
/// at the end. What deadlocks here does so however messages are sent.
Program lenient(const std::vector<step::Action>& order, int stages, int stage, int chunks, int microbatches) {
  Program program{.grid = {.pipeline = stages}, .microbatches = microbatches, .chunks = chunks};
  const int last = stages * chunks - 1;
  std::vector<step::Instruction> posts, passes, waits;
  const auto add = [&](Operation operation, int boundary, int direction, step::MicrobatchId j) {
    const bool downstream = (operation == Operation::send) == (direction == 0);
    const auto id =
        program.transfers.push_back({.operation = operation,
                                     .axis = Axis::pipeline,
                                     .microbatch = j,
                                     .peer = (stage + (downstream ? 1 : stages - 1)) % stages,
                                     .tag = (direction * last + boundary) * microbatches + j.value()});
    const bool sends = operation == Operation::send;
    (sends ? passes : posts).push_back({.kind = Kind::start, .transfer = id});
    (sends ? waits : passes).push_back({.kind = Kind::wait, .transfer = id});
  };
  for (const auto& a : order) {
    const int chunk = a.chunk.value() * stages + stage;
    const bool forward = a.pass == Pass::forward;
    if (forward ? chunk > 0 : chunk < last)
      add(Operation::receive, forward ? chunk - 1 : chunk, forward ? 0 : 1, a.microbatch);
    passes.push_back({.kind = forward ? Kind::forward : Kind::backward, .microbatch = a.microbatch});
    if (forward ? chunk < last : chunk > 0)
      add(Operation::send, forward ? chunk : chunk - 1, forward ? 0 : 1, a.microbatch);
  }
  for (const auto* part : {&posts, &passes, &waits})
    program.instructions.insert(program.instructions.end(), part->begin(), part->end());
  return program;
}

/// Interleaving without phantoms: the last group is as long as what is left.
std::vector<step::Action> with_a_short_last_group(int stages, int stage, int microbatches, int chunks) {
  std::vector<step::Action> forward, backward, order;
  for (int first = 0; first < microbatches; first += stages)
    for (int c = 0; c < chunks; ++c)
      for (int j = first; j < std::min(first + stages, microbatches); ++j) {
        forward.push_back({Pass::forward, step::ChunkId(c), step::MicrobatchId(j)});
        backward.push_back({Pass::backward, step::ChunkId(chunks - 1 - c), step::MicrobatchId(j)});
      }
  const std::size_t total = forward.size(),
                    warmup = std::min(
                        total, static_cast<std::size_t>(2 * (stages - stage - 1) + (chunks - 1) * stages));
  order.assign(forward.begin(), forward.begin() + static_cast<std::ptrdiff_t>(warmup));
  for (std::size_t k = 0; k < total; ++k) {
    if (warmup + k < total) order.push_back(forward[warmup + k]);
    order.push_back(backward[k]);
  }
  return order;
}

TEST(Deadlock, PhantomsAvoidTheDeadlockOfAShortLastGroup) {
  constexpr int stages = 4, microbatches = 5, chunks = 3;
  std::vector<Program> with_phantoms, without;
  for (int s = 0; s < stages; ++s) {
    with_phantoms.push_back(lenient(step::order_of({Schedule::interleaved, microbatches, chunks}, stages, s),
                                    stages, s, chunks, microbatches));
    without.push_back(
        lenient(with_a_short_last_group(stages, s, microbatches, chunks), stages, s, chunks, microbatches));
  }
  EXPECT_FALSE(find_deadlock(step::Roles({.pipeline = stages}, with_phantoms).by_rank));
  const step::Roles short_group({.pipeline = stages}, without);
  EXPECT_TRUE(find_deadlock(short_group.by_rank));
}

}  // namespace
}  // namespace partita::sim
