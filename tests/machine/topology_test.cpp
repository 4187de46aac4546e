/// Routes through networks against routes by hand, and what holds for each kind.
#include "partita/machine/topology.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "partita/machine/machine.hpp"

namespace partita::machine {
namespace {

constexpr double rate = 10e9;

/// `units` units of `inside` ranks each, joined so.
Machine network(const Topology& topology, std::int64_t units, std::int64_t inside = 1) {
  Machine machine;
  if (inside > 1) machine.levels.push_back({.name = "node", .ranks = inside, .protocols = {{}}});
  machine.levels.push_back(
      {.name = "cluster", .ranks = units * inside, .protocols = {{}}, .topology = topology});
  return machine;
}

Topology topology(const std::string& kind, std::vector<std::int64_t> extents = {}, double taper = 1) {
  return {.kind = kind, .extents = std::move(extents), .link_bytes_per_second = rate, .taper = taper};
}

/// "0.3 1.0 0.5": vertices on the way, each its stage and index.
std::string way(const std::vector<Link>& links) {
  std::string text;
  const auto add = [&text](const Vertex& v) {
    text += (text.empty() ? "" : " ") + std::to_string(v.stage) + "." + std::to_string(v.index);
  };
  if (!links.empty()) add(links.front().from);
  for (const auto& link : links)
    add(link.to);
  return text;
}

std::vector<double> shares(const std::vector<Link>& links) {
  std::vector<double> all;
  for (const auto& link : links)
    all.push_back(link.bytes_per_second / rate);
  return all;
}

TEST(Topology, LinksHaveNames) {
  auto machine = network(topology("fat-tree", {4}, 2), 16, 8);
  EXPECT_EQ(name_of(machine, links_between(machine, 9, 50)[0]), "cluster: node 1 to switch 1.0");
  EXPECT_EQ(name_of(machine, links_between(machine, 9, 50)[1]), "cluster: switch 1.0 to switch 2.0");
  machine.levels[0].topology = topology("crossbar");
  EXPECT_EQ(name_of(machine, links_between(machine, 17, 20)[1]), "node 2: switch 1.0 to rank 20");
}

TEST(Topology, ACrossbarHasALinkToAndFromEachUnit) {
  const auto machine = network(topology("crossbar"), 6);
  EXPECT_EQ(way(links_between(machine, 2, 5)), "0.2 1.0 0.5");
  EXPECT_EQ(shares(links_between(machine, 2, 5)), (std::vector<double>{1, 1}));
}

TEST(Topology, AFatTreeGoesUpAsFarAsItMust) {
  // Leaves of 4 units, pods of 3 leaves; each switch has half the links up that it has down.
  const auto machine = network(topology("fat-tree", {4, 3}, 2), 48);
  EXPECT_EQ(way(links_between(machine, 0, 3)), "0.0 1.0 0.3");
  EXPECT_EQ(way(links_between(machine, 0, 7)), "0.0 1.0 2.0 1.1 0.7");
  EXPECT_EQ(way(links_between(machine, 11, 12)), "0.11 1.2 2.0 3.0 2.1 1.3 0.12");
  EXPECT_EQ(shares(links_between(machine, 11, 12)), (std::vector<double>{1, 2, 3, 3, 2, 1}));
  EXPECT_EQ(shares(links_between(network(topology("fat-tree", {4, 3}), 48), 11, 12)),
            (std::vector<double>{1, 4, 12, 12, 4, 1}));
}

TEST(Topology, ATorusTakesTheShorterWayRoundInEachDimension) {
  const auto flat = network(topology("torus", {5, 4}), 20);
  EXPECT_EQ(way(links_between(flat, 0, 2)), "0.0 0.1 0.2");
  EXPECT_EQ(way(links_between(flat, 0, 3)), "0.0 0.4 0.3") << "backwards";
  EXPECT_EQ(way(links_between(flat, 0, 15)), "0.0 0.15") << "across the border";
  EXPECT_EQ(way(links_between(flat, 6, 18)), "0.6 0.7 0.8 0.13 0.18");
  const auto solid = network(topology("torus", {2, 3, 3}), 18);
  EXPECT_EQ(way(links_between(solid, 0, 17)), "0.0 0.1 0.5 0.17");
}

TEST(Topology, ADragonflyCrossesOneLinkBetweenGroups) {
  // Two units a router, four routers a group, five groups.
  const auto machine = network(topology("dragonfly", {2, 4, 5}, 2), 40);
  EXPECT_EQ(way(links_between(machine, 0, 1)), "0.0 1.0 0.1");
  EXPECT_EQ(way(links_between(machine, 0, 7)), "0.0 1.0 1.3 0.7");
  // From group 0, whose router 2 leads to group 2, where router 0 leads to group 0 (router 8 of all).
  EXPECT_EQ(way(links_between(machine, 0, 23)), "0.0 1.0 1.2 1.8 1.11 0.23");
  EXPECT_EQ(shares(links_between(machine, 0, 23)), (std::vector<double>{1, 1, 0.5, 1, 1}));
  EXPECT_EQ(way(links_between(machine, 4, 16)), "0.4 1.2 1.8 0.16") << "both routers have the link";
}

TEST(Topology, OnRailsAMessageComesOnThatOfItsTarget) {
  const auto machine = network(topology("rails", {4}), 10, 8);
  EXPECT_EQ(way(links_between(machine, 1, 8 + 5)), "0.0 1.1 0.1") << "rank 5 of a node is on rail 1";
  EXPECT_EQ(way(links_between(machine, 3, 70)), "0.0 1.2 0.8");
  EXPECT_TRUE(links_between(machine, 0, 7).empty()) << "within the node nobody says";
}

/// Eight senders of one target: where flows must share, they meet on its link.
TEST(Topology, FlowsToOneTargetMeetOnItsLink) {
  for (const auto& t : {topology("crossbar"), topology("fat-tree", {4}), topology("dragonfly", {2, 2, 4})}) {
    const auto machine = network(t, 16);
    std::map<Link, int> flows;
    for (int from = 1; from <= 8; ++from)
      for (const auto& link : links_between(machine, from, 0))
        ++flows[link];
    int most = 0;
    for (const auto& [link, count] : flows)
      most = std::max(most, count);
    EXPECT_EQ(most, 8) << t.kind;
  }
}

/// Every way begins at the one unit and ends at the other, link by link, crosses none twice, and has as many
/// links as the way back.
TEST(Topology, EveryWayLeadsThere) {
  for (const auto& t :
       {topology("crossbar"), topology("fat-tree", {3, 2}), topology("torus", {4, 6}),
        topology("torus", {2, 3, 4}), topology("dragonfly", {2, 3, 4}), topology("rails", {2})}) {
    EXPECT_EQ(misfit(t, 24), "");
    const auto machine = network(t, 24, 2);
    for (int from = 0; from < 48; ++from)
      for (int to = 0; to < 48; ++to) {
        const auto links = links_between(machine, from, to);
        if (from / 2 == to / 2) {
          EXPECT_TRUE(links.empty());
          continue;
        }
        ASSERT_FALSE(links.empty());
        EXPECT_EQ(links.front().from, (Vertex{0, from / 2}));
        EXPECT_EQ(links.back().to, (Vertex{0, to / 2}));
        for (std::size_t i = 1; i < links.size(); ++i)
          EXPECT_EQ(links[i].from, links[i - 1].to);
        EXPECT_EQ(std::set<Link>(links.begin(), links.end()).size(), links.size());
        EXPECT_EQ(links.size(), links_between(machine, to, from).size());
      }
  }
}

/// Two racks have each a network of their own.
TEST(Topology, UnitsOfALevelShareNoLinks) {
  auto machine = network(topology("crossbar"), 4);
  machine.levels.push_back({.name = "hall", .protocols = {{}}});
  const auto first = links_between(machine, 0, 1), second = links_between(machine, 4, 5);
  EXPECT_EQ(way(first), way(second));
  EXPECT_NE(first, second);
  EXPECT_TRUE(links_between(machine, 0, 4).empty()) << "the hall has no topology";
  EXPECT_TRUE(links_between(machine, 2, 2).empty());
  EXPECT_TRUE(links_between(Machine::shipped(), 0, 1).empty());
}

}  // namespace
}  // namespace partita::machine
