/// Messages that meet on their way, worked out by hand on links of a byte a second, and what holds for all.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>

#include "partita/sim/simulate.hpp"
#include "random_grids.hpp"

namespace partita::sim {
namespace {

using collective::Algorithm;
using collective::Operation;
using machine::Progress;
using step::Elements;
using step::Kind;
using topology::Axis;

/// From one rank to another, from a time on.
struct Sent {
  int from = 0, to = 0;
  std::int64_t bytes = 0;
  double at = 0;
};

/// A stage for each rank; its messages start in their order, then all are waited for.
class Stages {
 public:
  Stages(int ranks, std::vector<Sent> messages) : messages_(std::move(messages)) {
    for (int rank = 0; rank < ranks; ++rank)
      programs_.push_back(program(rank, ranks));
    for (const auto& one : programs_)
      by_rank_.push_back(&one);
  }

  /// When each message has been waited for: by its receiver, and by its sender.
  struct Ends {
    std::vector<Picoseconds> receivers, senders;
    Simulation simulation;
  };
  [[nodiscard]] Ends on(const machine::Machine& machine) const {
    auto costs = costs_on(machine, by_rank_, 1, {});
    costs.instruction = [this](int, const step::Instruction& i) {
      return seconds(messages_[static_cast<std::size_t>(i.microbatch->value())].at);
    };
    Ends ends{.receivers = {}, .senders = {}, .simulation = simulate(by_rank_, costs, 1)};
    for (std::size_t m = 0; m < messages_.size(); ++m) {
      ends.receivers.push_back(end_of(ends.simulation, messages_[m].to, m));
      ends.senders.push_back(end_of(ends.simulation, messages_[m].from, m));
    }
    return ends;
  }

 private:
  [[nodiscard]] step::Program program(int rank, int ranks) const {
    step::Program p{.grid = {.pipeline = ranks}, .at = {.pipeline = rank}};
    for (int m = 0; m < static_cast<int>(messages_.size()); ++m) {
      const auto& [from, to, bytes, at] = messages_[static_cast<std::size_t>(m)];
      if (rank != from && rank != to) continue;
      p.slots.push_back({.fixed = Elements(bytes / 4)});
      p.transfers.push_back({.operation = rank == from ? Operation::send : Operation::receive,
                             .axis = Axis::pipeline,
                             .slot = step::SlotId(static_cast<int>(p.slots.size()) - 1),
                             .peer = rank == from ? to : from,
                             .tag = m});
      const step::TransferId transfer(static_cast<int>(p.transfers.size()) - 1);
      if (rank == from && at > 0)
        p.instructions.push_back({.kind = Kind::forward, .microbatch = step::MicrobatchId(m)});
      p.instructions.push_back({.kind = Kind::start, .transfer = transfer});
    }
    for (const auto transfer : p.transfers.ids())
      p.instructions.push_back({.kind = Kind::wait, .transfer = transfer});
    return p;
  }

  [[nodiscard]] Picoseconds end_of(const Simulation& simulation, int rank, std::size_t message) const {
    const auto& program = programs_[static_cast<std::size_t>(rank)];
    for (std::size_t i = 0; i < program.instructions.size(); ++i) {
      const auto& instruction = program.instructions[i];
      if (instruction.kind == Kind::wait &&
          program.transfers[*instruction.transfer].tag == static_cast<int>(message))
        return simulation.steps[0][static_cast<std::size_t>(rank)].instructions[i].end;
    }
    return -1;
  }

  std::vector<Sent> messages_;
  std::vector<step::Program> programs_;
  step::ProgramsByRank by_rank_;
};

/// Nodes of so many ranks, between which a message takes a second and one a byte; within, nothing.
machine::Machine cluster(int of_node, machine::Topology topology,
                         const machine::Protocol& protocol = {.latency_seconds = 1, .byte_seconds = 1}) {
  machine::Machine m{.link_latency_seconds = 1, .link_bytes_per_second = 1};
  if (of_node > 1) m.levels.push_back({.name = "node", .ranks = of_node, .protocols = {{}}});
  topology.link_bytes_per_second = topology.link_bytes_per_second == 0 ? 1 : topology.link_bytes_per_second;
  m.levels.push_back({.name = "cluster", .protocols = {protocol}, .topology = std::move(topology)});
  return m;
}

std::vector<Picoseconds> all_seconds(const std::vector<double>& of) {
  std::vector<Picoseconds> all;
  for (const double s : of)
    all.push_back(seconds(s));
  return all;
}

TEST(Contention, EightSendersToOneReceiverTakeEightTimesAsLong) {
  std::vector<Sent> messages;
  for (int rank = 1; rank <= 8; ++rank)
    messages.push_back({rank, 0, 100});
  const Stages incast(9, messages);
  auto machine = cluster(1, {});
  EXPECT_EQ(incast.on(machine).receivers, std::vector(8, seconds(101))) << "links that nobody shares";
  for (const auto progress : {Progress::independent, Progress::polled}) {
    machine = cluster(1, {.kind = "crossbar"});
    machine.progress = progress;
    EXPECT_EQ(Stages(9, {messages[0]}).on(machine).receivers, all_seconds({101}));
    const auto ends = incast.on(machine);
    EXPECT_EQ(ends.receivers, std::vector(8, seconds(801)));
    EXPECT_EQ(ends.senders, std::vector(8, seconds(0))) << "they are eager";
    const auto busiest = std::ranges::max_element(ends.simulation.links, {}, &LinkUse::bytes);
    EXPECT_EQ(busiest->name, "cluster: switch 1.0 to rank 0");
    EXPECT_EQ(busiest->bytes, kernels::Bytes(800));
    EXPECT_EQ(busiest->busy, seconds(800));
  }
}

TEST(Contention, TwoMessagesOfANodeShareItsLinkAndOthersDoNot) {
  const auto machine = cluster(2, {.kind = "crossbar"});
  const auto ends = Stages(10, {{0, 2, 100}, {1, 4, 100}, {6, 8, 100}}).on(machine);
  EXPECT_EQ(ends.receivers, all_seconds({201, 201, 101}));
}

TEST(Contention, AMessageThatEndsGivesItsShareToTheOthers) {
  const auto machine = cluster(2, {.kind = "crossbar"});
  // Both have 100 bytes over after 200 s; then 200 are left.
  EXPECT_EQ(Stages(6, {{0, 2, 100}, {1, 4, 300}}).on(machine).receivers, all_seconds({201, 401}));
  // Alone for 60 s, then 40 of its 100 are left.
  EXPECT_EQ(Stages(6, {{0, 2, 100}, {1, 4, 100, 60}}).on(machine).receivers, all_seconds({141, 201}));
}

TEST(Contention, WhatOneCannotUseOthersGet) {
  // Links up of a switch: half a byte a second, for 0 to 4 and 1 to 5. What 1 sends to 0 has the rest of 1's.
  const auto tapered = cluster(1, {.kind = "fat-tree", .extents = {2}, .taper = 4});
  const auto ends = Stages(6, {{0, 4, 100}, {1, 5, 100}, {1, 0, 120}}).on(tapered);
  EXPECT_EQ(ends.receivers, all_seconds({401, 401, 161}));
  // Short messages have a quarter of a byte a second by themselves.
  auto machine = cluster(2, {.kind = "crossbar"}, {.latency_seconds = 1, .byte_seconds = 4});
  machine.levels.back().protocols.push_back(
      {.min_bytes = kernels::Bytes(100), .latency_seconds = 1, .byte_seconds = 1});
  EXPECT_EQ(Stages(6, {{0, 2, 300}, {1, 4, 40}}).on(machine).receivers, all_seconds({341, 161}));
}

TEST(Contention, MessagesBelowOneSwitchDoNotFeelTheLinksAboveIt) {
  const auto tapered = cluster(1, {.kind = "fat-tree", .extents = {4}, .taper = 4});
  const auto ends = Stages(8, {{0, 4, 100}, {1, 5, 100}, {2, 3, 100}}).on(tapered);
  EXPECT_EQ(ends.receivers, all_seconds({201, 201, 101}));
  const auto full = cluster(1, {.kind = "fat-tree", .extents = {4}});
  EXPECT_EQ(Stages(8, {{0, 4, 100}, {1, 5, 100}, {2, 3, 100}}).on(full).receivers,
            all_seconds({101, 101, 101}));
}

/// It leaves a latency after the receiver asked, and occupies its sender until it has left.
TEST(Contention, ARendezvousSharesFromWhenItLeaves) {
  const auto machine =
      cluster(2, {.kind = "crossbar"}, {.latency_seconds = 1, .byte_seconds = 1, .rendezvous = true});
  const auto ends = Stages(6, {{0, 2, 100}, {1, 4, 100}}).on(machine);
  EXPECT_EQ(ends.senders, all_seconds({201, 201}));
  EXPECT_EQ(ends.receivers, all_seconds({202, 202}));
}

TEST(Contention, MessagesOfANodeAreAGapApartInEachDirection) {
  const machine::Protocol protocol{.latency_seconds = 1, .byte_seconds = 1, .gap_seconds = 10};
  for (const auto progress : {Progress::independent, Progress::polled}) {
    auto machine = cluster(2, {}, protocol);
    machine.progress = progress;
    // Two leave node 0; what comes to it, and what leaves another, does not wait.
    const auto leaving = Stages(8, {{0, 2, 4}, {1, 4, 4}, {2, 0, 4}, {6, 3, 4, 20}}).on(machine);
    EXPECT_EQ(leaving.receivers, all_seconds({5, 15, 5, 25}));
    EXPECT_EQ(Stages(8, {{0, 4, 4}, {2, 5, 4, 1}}).on(machine).receivers, all_seconds({5, 15}));
    EXPECT_EQ(Stages(8, {{0, 4, 4}, {2, 5, 4, 30}}).on(machine).receivers, all_seconds({5, 35}));
    EXPECT_EQ(Stages(8, {{0, 1, 4}, {1, 0, 4}}).on(machine).receivers, all_seconds({0, 0})) << "of node";
  }
}

/// Programs of data ranks that add up, over a tapered fat tree of nodes of two.
struct AllReduce {
  explicit AllReduce(Algorithm algorithm, int ranks = 12)
      : program{.grid = {.data = ranks},
                .slots = {{.fixed = Elements(1000)}},
                .transfers = {{.slot = step::SlotId(0)}},
                .all_reduces = {.algorithm = algorithm},
                .instructions = {{.kind = Kind::start, .transfer = step::TransferId(0)},
                                 {.kind = Kind::wait, .transfer = step::TransferId(0)}}},
        programs(static_cast<std::size_t>(ranks), &program) {}
  [[nodiscard]] Simulation on(const machine::Machine& machine) const {
    return simulate(programs, costs_on(machine, programs, 1, {}), 1);
  }
  step::Program program;
  step::ProgramsByRank programs;
};

constexpr Algorithm by_messages[] = {Algorithm::ring, Algorithm::recursive_doubling,
                                     Algorithm::halving_doubling, Algorithm::double_tree};

TEST(Contention, LinksCarryTheMessagesThatCrossThem) {
  const auto machine = cluster(2, {.kind = "fat-tree", .extents = {2}, .taper = 2});
  for (const auto algorithm : by_messages) {
    const AllReduce sum(algorithm);
    std::map<std::string, kernels::Bytes> expected;
    const auto costs = costs_on(machine, sum.programs, 1, {});
    for (int rank = 0; rank < 12; ++rank)
      for (const auto& round : costs.rounds(rank, sum.program.transfers.front()))
        if (const auto& messages = std::get<TimedMessages>(round); messages.send_to)
          for (const auto& link : links_between(machine, rank, *messages.send_to))
            expected[name_of(machine, link)] += messages.sent_bytes;
    const auto simulation = sum.on(machine);
    std::map<std::string, kernels::Bytes> carried;
    for (const auto& link : simulation.links) {
      carried[link.name] += link.bytes;
      EXPECT_GE(link.busy + 1000, seconds(static_cast<double>(link.bytes.value()))) << "a byte a second";
      EXPECT_LE(link.busy, simulation.makespan());
    }
    EXPECT_EQ(carried, expected);
  }
}

TEST(Contention, MoreBandwidthMakesNoCollectiveAloneSlower) {
  const machine::Topology topologies[] = {{.kind = "crossbar"},
                                          {.kind = "fat-tree", .extents = {2}, .taper = 2},
                                          {.kind = "torus", .extents = {3, 2}},
                                          {.kind = "dragonfly", .extents = {1, 2, 3}, .taper = 2},
                                          {.kind = "rails", .extents = {2}}};
  for (auto topology : topologies)
    for (const auto algorithm : by_messages) {
      const AllReduce sum(algorithm);
      auto before = sum.on(cluster(2, topology)).makespan();
      const auto slowest = before;
      for (const double rate : {1.25, 1.5, 2.0, 3.0, 8.0}) {
        topology.link_bytes_per_second = rate;
        const auto now = sum.on(cluster(2, topology)).makespan();
        EXPECT_LE(now, before) << topology.kind << " " << to_string(algorithm) << " " << rate;
        before = now;
      }
      EXPECT_EQ(before, sum.on(cluster(2, {})).makespan()) << "links are wide";
      EXPECT_LT(before, slowest);
      topology.link_bytes_per_second = 0;
    }
}

/// A drawn training, in both modes of progress.
struct Drawn {
  explicit Drawn(std::uint64_t seed) : g(GridDraw(seed).draw(32)) {
    if (g.machine.levels.empty()) g.machine.levels = {{.name = "all", .protocols = {{.byte_seconds = 1e-9}}}};
    grid = std::make_unique<step::Roles>(programs_of(g.chain.model, plan_of(g.chain.model, g.request)));
  }
  [[nodiscard]] Simulation on(const machine::Machine& machine, const cost::Execution& execution = {}) const {
    return simulate(grid->by_rank, costs_on(machine, grid->by_rank, g.chain.batch, g.site, execution), 3);
  }
  RandomGrid g;
  std::unique_ptr<step::Roles> grid;
};

TEST(Contention, WideLinksChangeNothing) {
  std::size_t links = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Drawn drawn(seed);
    auto& machine = drawn.g.machine;
    machine.progress = seed % 2 == 0 ? Progress::independent : Progress::polled;
    machine.overheads.poll_seconds = 1.7e-8;
    const auto alone = drawn.on(machine);
    for (auto& level : machine.levels)
      level.topology = {.kind = "crossbar", .link_bytes_per_second = 1e18};
    const auto simulation = drawn.on(machine);
    EXPECT_EQ(simulation.steps, alone.steps) << "seed " << seed << ", " << drawn.g.name();
    links += simulation.links.size();
  }
  EXPECT_GT(links, 100U);
}

/// Neither do links as fast as a message, where equal shares go round and none overtakes another.
TEST(Contention, ARingOfNodesOfOneRankIsAsIfAlone) {
  const AllReduce sum(Algorithm::ring, 10);
  EXPECT_EQ(sum.on(cluster(1, {.kind = "crossbar"})).makespan(), seconds(2 * 9 * 401));
  EXPECT_EQ(sum.on(cluster(1, {.kind = "crossbar"})).steps, sum.on(cluster(1, {})).steps);
}

/// All that a rank has of its own.
void slow_down(machine::Machine& m, double slower) {
  m.flops_per_second /= slower, m.call_seconds *= slower;
  m.main_bytes_per_second /= slower, m.cache_bytes_per_second /= slower;
  for (auto& row : m.windows)
    row.stage_byte_seconds *= slower, row.load_byte_seconds *= slower, row.store_byte_seconds *= slower;
  m.overheads.start_seconds *= slower, m.overheads.wait_seconds *= slower;
  m.overheads.step_seconds *= slower;
}

TEST(Contention, AMachineThatIsSlowerInEverythingIsSlowerByThat) {
  int slowed = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Drawn drawn(seed);
    auto& m = drawn.g.machine;
    const auto alone = drawn.on(m).makespan();
    const auto with_links = [&](double slower) {
      auto machine = m;
      slow_down(machine, slower);
      for (auto& part : machine.parts)
        slow_down(part.machine, slower);
      machine.flag_seconds *= slower;
      machine.link_latency_seconds *= slower, machine.link_bytes_per_second /= slower;
      for (auto& level : machine.levels) {
        for (auto& p : level.protocols)
          for (double* s : {&p.send_seconds, &p.send_byte_seconds, &p.latency_seconds, &p.byte_seconds,
                            &p.receive_seconds, &p.receive_byte_seconds})
            *s *= slower;
        level.topology = {.kind = "crossbar", .link_bytes_per_second = 1e8 / slower};
      }
      return drawn.on(machine).makespan();
    };
    const auto once = with_links(1), thrice = with_links(3);
    slowed += once > alone;
    EXPECT_LT(std::abs(thrice - 3 * once), 1e-6 * static_cast<double>(thrice)) << drawn.g.name();
  }
  EXPECT_GT(slowed, 10);
}

TEST(Contention, IsLeftOutOfPlane) {
  const auto model = equal_layers(2);
  auto meeting = machine::Machine::shipped(), polled = meeting;
  meeting.levels = cluster(1, {.kind = "crossbar"}).levels;
  polled.progress = Progress::polled;
  const auto in_plane = [&](const machine::Machine& machine) {
    const auto grid = programs_of(model, plan_of(model, {.grid = {.data = 8}, .batch = 8}));
    return simulate(grid.by_rank, costs_on(machine, grid.by_rank, 8, {}), 1, {.depth = Depth::plane});
  };
  for (const auto* machine : {&meeting, &polled}) {
    const auto loose = in_plane(*machine);
    EXPECT_EQ(loose.left_out.meetings, machine == &meeting);
    EXPECT_EQ(loose.left_out.polling, machine == &polled);
  }
  auto alone = meeting;
  for (auto& level : alone.levels)
    level.topology = {};
  EXPECT_EQ(in_plane(meeting).steps, in_plane(alone).steps);
  EXPECT_FALSE(in_plane(alone).left_out.any());
}

/// On which the bound of a search rests.
TEST(Contention, NothingEndsLaterWhereSharingAndPollingAreLeftOut) {
  std::size_t later = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Drawn drawn(seed);
    auto& machine = drawn.g.machine;
    machine.progress = seed % 2 == 0 ? Progress::independent : Progress::polled;
    machine.overheads.poll_seconds = 1.7e-8;
    for (auto& part : machine.parts)
      part.machine.progress = seed % 3 == 0 ? Progress::independent : Progress::polled;
    for (auto& level : machine.levels) {
      level.topology = {.kind = "crossbar", .link_bytes_per_second = 2e8};
      for (auto& protocol : level.protocols)
        protocol.gap_seconds = 1e-6;
    }
    machine.cores.yield_seconds = 1e-7;
    const cost::Execution execution{.crowding = seed % 5 == 0 ? 2.5 : 1};
    const auto all = drawn.on(machine, execution);
    const auto loose =
        simulate(drawn.grid->by_rank,
                 costs_on(machine, drawn.grid->by_rank, drawn.g.chain.batch, drawn.g.site, execution), 3,
                 {.depth = Depth::plane});
    for (std::size_t s = 0; s < 3; ++s)
      for (std::size_t r = 0; r < all.steps[s].size(); ++r) {
        ASSERT_LE(loose.steps[s][r].end, all.steps[s][r].end)
            << "seed " << seed << ", step " << s << ", rank " << r << ", " << drawn.g.name();
        later += loose.steps[s][r].end < all.steps[s][r].end;
      }
  }
  EXPECT_GT(later, 500U);
}

TEST(Contention, RoundsOfAStepAreThoseOfAllRanks) {
  const auto model = equal_layers(1);
  const auto grid = programs_of(
      model, plan_of(model, {.grid = {.data = 8}, .batch = 8, .algorithm = Algorithm::recursive_doubling}));
  const auto machine = machine::Machine::shipped();
  std::int64_t transfers = 0;
  for (const auto* program : grid.by_rank)
    transfers += std::ssize(program->transfers);
  EXPECT_GT(transfers, 0);
  EXPECT_EQ(rounds_of_step(grid.by_rank, costs_on(machine, grid.by_rank, 8, {})), 3 * transfers);
}

}  // namespace
}  // namespace partita::sim
