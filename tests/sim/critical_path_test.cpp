/// What the time of a step hangs on: by hand on one message, and what holds for all.
#include <gtest/gtest.h>

#include <map>

#include "partita/sim/simulate.hpp"
#include "random_grids.hpp"

namespace partita::sim {
namespace {

using collective::Operation;
using machine::Progress;
using step::Kind;
using topology::Axis;

/// Two stages: `before` seconds of work, a transfer, `after`.
struct Chain {
  explicit Chain(std::vector<step::Transfer> transfers) {
    const int ranks = static_cast<int>(transfers.size());
    for (int rank = 0; rank < ranks; ++rank)
      programs.push_back({.grid = {.pipeline = ranks},
                          .at = {.pipeline = rank},
                          .transfers = {transfers[static_cast<std::size_t>(rank)]},
                          .instructions = {{.kind = Kind::forward, .microbatch = step::MicrobatchId(0)},
                                           {.kind = Kind::start, .transfer = step::TransferId(0)},
                                           {.kind = Kind::wait, .transfer = step::TransferId(0)},
                                           {.kind = Kind::forward, .microbatch = step::MicrobatchId(1)}}});
    for (const auto& program : programs)
      by_rank.push_back(&program);
  }
  std::vector<step::Program> programs;
  step::ProgramsByRank by_rank;
};

Chain one_message() {
  return Chain({{.operation = Operation::send, .axis = Axis::pipeline, .peer = 1, .tag = 7},
                {.operation = Operation::receive, .axis = Axis::pipeline, .peer = 0, .tag = 7}});
}

/// In seconds: work before and after by rank; of the message 2 to send, 3 on the way and 5 for its bytes, 7
/// to receive; 0.25 to start, 0.5 to wait.
Costs costs_of(const std::vector<std::pair<double, double>>& work, bool rendezvous) {
  const machine::MessageTime time{
      .send = seconds(2), .latency = seconds(3), .bytes = seconds(5), .rendezvous = rendezvous};
  return {.instruction =
              [=](int rank, const step::Instruction& i) {
                const auto& [before, after] = work[static_cast<std::size_t>(rank)];
                return seconds(i.microbatch->value() == 0 ? before : after);
              },
          .rounds = [=](int rank, const step::Transfer&) -> std::vector<TimedRound> {
            if (rank == 0) return {TimedMessages{.send_to = 1, .sent = time}};
            return {TimedMessages{.receive_from = 0, .receive = seconds(7)}};
          },
          .core = {.start = seconds(0.25), .wait = seconds(0.5), .step = seconds(1)}};
}

struct Expected {
  double duration;
  Cause cause;
  int rank;
  std::optional<int> peer;
};

void expect_path(const CriticalPath& path, const std::vector<Expected>& expected) {
  ASSERT_EQ(path.size(), expected.size());
  for (std::size_t i = 0; i < path.size(); ++i) {
    EXPECT_EQ(path[i].duration(), seconds(expected[i].duration)) << i;
    EXPECT_EQ(path[i].cause, expected[i].cause) << i;
    EXPECT_EQ(path[i].rank, expected[i].rank) << i;
    EXPECT_EQ(path[i].peer, expected[i].peer) << i;
  }
}

TEST(CriticalPath, GoesFromTheReceiverToTheSenderOfALateMessage) {
  const auto chain = one_message();
  for (const auto progress : {Progress::independent, Progress::polled}) {
    auto costs = costs_of({{10, 0}, {1, 4}}, false);
    costs.core.progress = progress;
    expect_path(simulate(chain.by_rank, costs, 1).critical_path, {{10, Cause::kernel, 0, {}},
                                                                  {0.25, Cause::start, 0, {}},
                                                                  {2, Cause::send, 0, 1},
                                                                  {5, Cause::bytes, 0, 1},
                                                                  {3, Cause::latency, 0, 1},
                                                                  {7, Cause::receive, 1, 0},
                                                                  {0.5, Cause::wait, 1, {}},
                                                                  {4, Cause::kernel, 1, {}}});
  }
}

TEST(CriticalPath, OfARendezvousGoesToAReceiverThatIsLate) {
  const auto chain = one_message();
  for (const auto progress : {Progress::independent, Progress::polled}) {
    auto costs = costs_of({{1, 100}, {10, 4}}, true);
    costs.core.progress = progress;
    expect_path(simulate(chain.by_rank, costs, 1).critical_path, {{10, Cause::kernel, 1, {}},
                                                                  {0.25, Cause::start, 1, {}},
                                                                  {3, Cause::latency, 1, 0},
                                                                  {5, Cause::bytes, 0, 1},
                                                                  {0.5, Cause::wait, 0, {}},
                                                                  {100, Cause::kernel, 0, {}}});
  }
}

TEST(CriticalPath, StaysWhereNobodyWaits) {
  const auto chain = one_message();
  const auto path = simulate(chain.by_rank, costs_of({{1, 0}, {50, 4}}, false), 3).critical_path;
  expect_path(path, {{1, Cause::between_steps, 1, {}},
                     {50, Cause::kernel, 1, {}},
                     {0.25, Cause::start, 1, {}},
                     {7, Cause::receive, 1, 0},
                     {0.5, Cause::wait, 1, {}},
                     {4, Cause::kernel, 1, {}}});
  EXPECT_EQ(path.back().instruction, 3U);
  EXPECT_EQ(path[3].instruction, 1U) << "the transfer's start";
  EXPECT_FALSE(path.front().instruction);
}

/// An all-reduce in a window, and one of the library: the last of three ranks is waited for.
TEST(CriticalPath, GoesToTheLastMemberOfACollective) {
  const step::Program program{.grid = {.data = 3},
                              .transfers = {{.operation = Operation::all_reduce, .axis = Axis::data}},
                              .instructions = {{.kind = Kind::forward},
                                               {.kind = Kind::start, .transfer = step::TransferId(0)},
                                               {.kind = Kind::wait, .transfer = step::TransferId(0)}}};
  const step::ProgramsByRank all(3, &program);
  const auto path_with = [&](const TimedRound& round, Progress progress) {
    return simulate(all,
                    {.instruction = [](int rank,
                                       const step::Instruction&) { return seconds(rank == 1 ? 9 : rank); },
                     .rounds = [&](int, const step::Transfer&) -> std::vector<TimedRound> { return {round}; },
                     .core = {.progress = progress}},
                    1)
        .critical_path;
  };
  for (const auto progress : {Progress::independent, Progress::polled}) {
    const machine::WindowTime window{.stage = seconds(2), .flag = seconds(1), .access = seconds(3)};
    expect_path(path_with(TimedAccess{.members = {0, 1, 2}, .time = window}, progress),
                {{9, Cause::kernel, 1, {}},
                 {2, Cause::stage, 1, {}},
                 {1, Cause::flag, 1, 0},
                 {3, Cause::access, 0, {}}});
    expect_path(path_with(TimedWhole{seconds(4)}, progress),
                {{9, Cause::kernel, 1, {}}, {4, Cause::whole, 0, {}}});
  }
}

Picoseconds sum_of(const CriticalPath& path, const std::vector<Cause>& causes) {
  Picoseconds sum = 0;
  for (const auto& piece : path)
    if (std::ranges::find(causes, piece.cause) != causes.end()) sum += piece.duration();
  return sum;
}

/// Every instant has one cause; kernels, starts and waits of the path are the spans of their instructions.
void expect_whole(const Simulation& simulation, const std::string& name) {
  const auto& path = simulation.critical_path;
  const int last = static_cast<int>(simulation.steps.size()) - 1;
  auto now = simulation.end_of(last - 1);
  for (const auto& piece : path) {
    EXPECT_EQ(piece.begin, now) << name;
    EXPECT_LT(piece.begin, piece.end) << name;
    now = piece.end;
    if (piece.cause == Cause::kernel || piece.cause == Cause::start || piece.cause == Cause::wait) {
      const auto& rank = simulation.steps.back()[static_cast<std::size_t>(piece.rank)];
      EXPECT_LE(piece.end, rank.instructions[*piece.instruction].end) << name;
      EXPECT_GE(piece.begin, rank.instructions[*piece.instruction].begin) << name;
    }
  }
  EXPECT_EQ(now, simulation.makespan()) << name;
}

/// Grids, algorithms, windows and machines of all kinds; in every other mode of progress, on links that
/// messages share, and on cores that ranks share.
TEST(CriticalPath, AddsUpToTheStepOnRandomGrids) {
  std::map<Cause, int> seen;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    auto g = GridDraw(7000 + seed).draw(24);
    const auto grid = programs_of(g.chain.model, plan_of(g.chain.model, g.request));
    if (seed % 2 == 1) g.machine.progress = Progress::polled, g.machine.overheads.poll_seconds = 1.3e-8;
    if (seed % 3 == 0)
      for (auto& level : g.machine.levels) {
        level.topology = {.kind = "crossbar", .link_bytes_per_second = 3e9};
        for (auto& protocol : level.protocols)
          protocol.gap_seconds = seed % 4 == 0 ? 1e-7 : 0;
      }
    g.machine.cores.yield_seconds = 1e-7;
    auto costs =
        costs_on(g.machine, grid.by_rank, g.chain.batch, g.site, {.crowding = seed % 5 == 0 ? 1.5 : 1});
    if (!g.speed.empty()) costs = with_speeds(costs, g.speed);
    const auto simulation = simulate(grid.by_rank, costs, 3);
    expect_whole(simulation, "seed " + std::to_string(seed) + ": " + g.name());
    for (const auto& piece : simulation.critical_path)
      ++seen[piece.cause];
    if (HasFailure()) return;
  }
  for (int cause = 0; cause <= static_cast<int>(Cause::whole); ++cause)
    EXPECT_GT(seen[static_cast<Cause>(cause)], 0) << "cause " << cause;
}

TEST(CriticalPath, OfOneRankIsAllKernels) {
  const auto model = equal_layers(3);
  const auto grid = programs_of(model, plan_of(model, {.batch = 5}));
  auto machine = machine::Machine::shipped();
  const auto simulation = simulate(grid.by_rank, costs_on(machine, grid.by_rank, 5, {}), 3);
  EXPECT_EQ(sum_of(simulation.critical_path, {Cause::kernel}), simulation.step_duration());
}

/// What is scaled a thousandfold takes most of the time.
TEST(CriticalPath, HangsOnWhatIsSlow) {
  constexpr Cause on_way[] = {Cause::send, Cause::latency, Cause::bytes, Cause::receive};
  const auto model = equal_layers(6);
  const auto grid = programs_of(
      model,
      plan_of(model, {.grid = {.data = 2, .pipeline = 3}, .batch = 24, .pipeline = {.microbatches = 4}}));
  const auto shares_of = [&](double flops, double latency, double byte) {
    auto machine = machine::Machine::shipped();
    machine.flops_per_second = flops;
    machine.levels = {{.name = "all", .protocols = {{.latency_seconds = latency, .byte_seconds = byte}}}};
    const auto simulation = simulate(grid.by_rank, costs_on(machine, grid.by_rank, 24, {}), 3);
    std::map<Cause, double> shares;
    for (const auto cause : {Cause::kernel, on_way[0], on_way[1], on_way[2], on_way[3]})
      shares[cause] = static_cast<double>(sum_of(simulation.critical_path, {cause})) /
                      static_cast<double>(simulation.step_duration());
    return shares;
  };
  EXPECT_GT(shares_of(1e6, 1e-6, 1e-10)[Cause::kernel], 0.9);
  EXPECT_GT(shares_of(1e12, 1, 1e-10)[Cause::latency], 0.99);
  EXPECT_GT(shares_of(1e12, 1e-6, 1)[Cause::bytes], 0.99);
}

}  // namespace
}  // namespace partita::sim
