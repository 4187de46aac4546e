/// One of all ranks that are alike stands for them where messages meet and cores move transfers on: its times
/// are those of full depth.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>

#include "partita/sim/simulate.hpp"
#include "random_grids.hpp"

namespace partita::sim {
namespace {

using collective::Algorithm;
using machine::Progress;
using step::Elements;
using step::Kind;

int count_of(const Simulation& simulation) {
  return simulation.class_of.empty() ? 0 : 1 + *std::ranges::max_element(simulation.class_of);
}

/// By class, rank by rank, and link by link.
void expect_equal(const Simulation& full, const Simulation& classes) {
  EXPECT_EQ(classes.depth, Depth::classes);
  EXPECT_FALSE(classes.left_out.any());
  ASSERT_EQ(full.steps.size(), classes.steps.size());
  for (std::size_t s = 0; s < full.steps.size(); ++s)
    for (std::size_t r = 0; r < full.steps[s].size(); ++r)
      EXPECT_EQ(full.steps[s][r], classes.steps[s][r]) << "step " << s << " rank " << r;
  for (const auto& link : classes.links)
    EXPECT_EQ(std::ranges::count(full.links, link), 1) << link.name;
}

/// Data ranks that add up 1600 floats once.
struct AllReduce {
  explicit AllReduce(Algorithm algorithm, int ranks)
      : program{.grid = {.data = ranks},
                .slots = {{.fixed = Elements(1600)}},
                .transfers = {{.slot = step::SlotId(0)}},
                .all_reduces = {.algorithm = algorithm},
                .instructions = {{.kind = Kind::start, .transfer = step::TransferId(0)},
                                 {.kind = Kind::wait, .transfer = step::TransferId(0)}}},
        programs(static_cast<std::size_t>(ranks), &program) {}
  [[nodiscard]] Simulation on(const machine::Machine& machine, Depth depth,
                              std::vector<double> speed = {}) const {
    auto costs = costs_on(machine, programs, std::ssize(programs), {});
    if (!speed.empty()) costs = with_speeds(std::move(costs), std::move(speed));
    std::vector<int> all;
    for (int rank = 0; rank < static_cast<int>(programs.size()); ++rank)
      all.push_back(rank);
    return simulate(programs, costs, 2, {.depth = depth, .spans_of = all});
  }
  step::Program program;
  step::ProgramsByRank programs;
};

/// Nodes of so many ranks, between which a message takes a second and one a byte, as do their links; within,
/// nothing.
machine::Machine cluster(int of_node, machine::Topology topology, double gap_seconds = 0) {
  machine::Machine m{.link_latency_seconds = 1, .link_bytes_per_second = 1};
  if (of_node > 1) m.levels.push_back({.name = "node", .ranks = of_node, .protocols = {{}}});
  topology.link_bytes_per_second = 1;
  m.levels.push_back({.name = "cluster",
                      .protocols = {{.latency_seconds = 1, .byte_seconds = 1, .gap_seconds = gap_seconds}},
                      .topology = std::move(topology)});
  return m;
}

TEST(Representatives, OneRankStandsForAllThatShareALinkByHand) {
  const AllReduce sum(Algorithm::recursive_doubling, 8);
  const auto classes = sum.on(cluster(2, {.kind = "crossbar"}), Depth::classes);
  EXPECT_EQ(count_of(classes), 1);
  // One round within nodes, two between them, of 6,400 bytes; both ranks of a node send over its link.
  EXPECT_EQ(classes.steps[0][5].end, seconds(2 * 12801));
  ASSERT_EQ(classes.links.size(), 8U);
  for (const auto& link : classes.links)
    EXPECT_EQ(link.bytes, kernels::Bytes(2 * 2 * 2 * 6400)) << "two steps, rounds and ranks; " << link.name;
}

TEST(Representatives, LinksRefineThem) {
  const AllReduce sum(Algorithm::ring, 8);
  const auto of = [&](const machine::Topology& topology) {
    const auto machine = cluster(1, topology);
    const auto classes = sum.on(machine, Depth::classes);
    expect_equal(sum.on(machine, Depth::full), classes);
    return count_of(classes);
  };
  EXPECT_EQ(of({.kind = "crossbar"}), 1);
  EXPECT_EQ(of({.kind = "fat-tree", .extents = {2}, .taper = 4}), 2) << "the place below a switch";
  EXPECT_EQ(of({.kind = "fat-tree", .extents = {4}, .taper = 4}), 4);
  EXPECT_EQ(of({.kind = "fat-tree", .extents = {3}, .taper = 4}), 8) << "the last switch has two units";
  EXPECT_EQ(of({.kind = "fat-tree", .extents = {3}}), 1) << "links above switches hold nobody back";
}

TEST(Representatives, GapsRefineThemByTheirPlaceInTheNode) {
  for (const auto algorithm : {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::halving_doubling}) {
    const AllReduce sum(algorithm, 16);
    const auto machine = cluster(4, {}, 10);
    const auto classes = sum.on(machine, Depth::classes);
    expect_equal(sum.on(machine, Depth::full), classes);
    EXPECT_EQ(count_of(classes), 4);
  }
}

TEST(Representatives, ASlowRankRefinesThem) {
  const AllReduce sum(Algorithm::ring, 8);
  std::vector<double> speed(8, 1);
  speed[3] = 0.5;
  EXPECT_EQ(count_of(sum.on(cluster(1, {.kind = "crossbar"}), Depth::classes, speed)), 8);
}

/// Which of two cores looks first would decide what it sees.
TEST(Representatives, LeavePollingOutWhereMessagesTakeNoTime) {
  const AllReduce sum(Algorithm::recursive_doubling, 8);
  auto machine = cluster(2, {.kind = "crossbar"});
  machine.progress = Progress::polled;
  const auto loose = sum.on(machine, Depth::classes);
  EXPECT_TRUE(loose.left_out.polling);
  EXPECT_TRUE(loose.left_out.meetings);
  machine.levels[0].protocols[0].latency_seconds = 1e-9;
  expect_equal(sum.on(machine, Depth::full), sum.on(machine, Depth::classes));
}

/// A drawn training whose messages meet.
struct Drawn {
  explicit Drawn(std::uint64_t seed) : g(GridDraw(seed).draw(64)) {
    if (seed % 4 != 0) make_even(seed);
    make_messages_meet(seed);
    grid = std::make_unique<step::Roles>(programs_of(g.chain.model, plan_of(g.chain.model, g.request)));
    for (int rank = 0; rank < static_cast<int>(grid->by_rank.size()); ++rank)
      all.push_back(rank);
  }

  /// Powers of two, so that ranks are alike, on the machine that was drawn.
  void make_even(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto power = [&random](int most) { return 1 << random() % static_cast<unsigned>(most + 1); };
    topology::GridExtent extent;
    do
      extent = {.data = power(5), .pipeline = power(2), .tensor = power(2)};
    while (extent.size() > 64 || extent.size() < 4);
    constexpr Algorithm algorithms[] = {Algorithm::ring, Algorithm::recursive_doubling,
                                        Algorithm::halving_doubling, Algorithm::double_tree};
    const int microbatches = power(2);
    g.chain.model = tests::model_of("64", {"linear 64", "relu", "linear 64", "linear 64", "linear 64"});
    g.chain.batch = extent.data * microbatches * power(2);
    g.request = {
        .grid = extent,
        .batch = g.chain.batch,
        .pipeline = {.schedule = random() % 2 == 0 ? step::Schedule::gpipe : step::Schedule::one_f_one_b,
                     .microbatches = microbatches},
        .bucket_bytes = kernels::Bytes(1 << 14),
        .algorithm = algorithms[random() % 4]};
    std::int64_t ranks = power(3);
    for (auto& level : g.machine.levels)
      level.ranks = std::exchange(ranks, 4 * ranks);
    if (!g.machine.levels.empty()) g.machine.levels.back().ranks = machine::Level().ranks;
    g.site = {};
    if (!g.speed.empty()) g.speed.assign(static_cast<std::size_t>(extent.size()), 1);
  }

  void make_messages_meet(std::uint64_t seed) {
    static const machine::Topology topologies[] = {{.kind = "crossbar"},
                                                   {.kind = "fat-tree", .extents = {2}},
                                                   {.kind = "fat-tree", .extents = {2}, .taper = 2},
                                                   {.kind = "fat-tree", .extents = {2, 2}, .taper = 3},
                                                   {.kind = "torus", .extents = {8, 8}},
                                                   {.kind = "torus", .extents = {4, 4, 4}},
                                                   {.kind = "dragonfly", .extents = {2, 4, 8}, .taper = 2},
                                                   {.kind = "rails", .extents = {2}}};
    auto& m = g.machine;
    if (m.levels.empty()) m.levels = {{.name = "all", .protocols = {{.byte_seconds = 1e-9}}}};
    for (auto& level : m.levels) {
      level.topology = topologies[seed % std::size(topologies)];
      level.topology.link_bytes_per_second = seed % 3 == 0 ? 1e8 : 7e8;
      for (auto& protocol : level.protocols) {
        protocol.latency_seconds += 1e-9;
        if (seed % 5 == 3) protocol.gap_seconds = 3e-7;
      }
    }
    m.flag_seconds += 1e-9;
    m.progress = seed % 2 == 0 ? Progress::independent : Progress::polled;
    m.overheads.poll_seconds = 1.7e-8;
    m.cores.yield_seconds = 1.9e-7;
    if (seed % 3 == 1) crowding = 1.5;
  }

  [[nodiscard]] Simulation in(Depth depth) const {
    auto costs = costs_on(g.machine, grid->by_rank, g.chain.batch, g.site, {.crowding = crowding});
    if (!g.speed.empty()) costs = with_speeds(costs, g.speed);
    return simulate(grid->by_rank, costs, 3, {.depth = depth, .spans_of = all});
  }
  RandomGrid g;
  double crowding = 1;
  std::unique_ptr<step::Roles> grid;
  std::vector<int> all;
};

class DrawnGrids : public testing::TestWithParam<int> {};

TEST_P(DrawnGrids, HaveTheTimesOfFullDepth) {
  int alike = 0, slowed = 0;
  for (int i = 0; i < 35; ++i) {
    const auto seed = static_cast<std::uint64_t>(1000 * GetParam() + i);
    const Drawn drawn(seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + drawn.g.name());
    const auto full = drawn.in(Depth::full), classes = drawn.in(Depth::classes);
    expect_equal(full, classes);
    if (drawn.g.machine.levels.back().topology.taper > 1) {
      EXPECT_EQ(full.links, classes.links);
    }
    if (HasFailure()) return;
    const bool some_alike = count_of(classes) < static_cast<int>(full.steps[0].size());
    alike += some_alike;
    slowed += some_alike && full.makespan() > drawn.in(Depth::unshared).makespan();
  }
  EXPECT_GE(alike, 6) << "else ranks are compared with themselves";
  EXPECT_GE(slowed, 6) << "else nothing is shared";
}
INSTANTIATE_TEST_SUITE_P(Seeds, DrawnGrids, testing::Range(0, 12));

}  // namespace
}  // namespace partita::sim
