/// Routes through each kind of network, as pure arithmetic on the numbers of units.
#include "partita/machine/topology.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "partita/machine/machine.hpp"

namespace partita::machine {
namespace {

/// A message between two units of a network, from one of its places in its unit to one in another's.
struct Message {
  std::int64_t from, to;
  std::int64_t rank;  ///< of the target within its unit
};

/// Vertices on the way, and what the link to each carries.
class Route {
 public:
  Route(const Topology& topology, std::int64_t start) : topology_(topology), at_{0, start} {}

  /// Goes on to another vertex; a stay is no link.
  void go(Vertex to, double share = 1, bool is_wide = false) {
    if (to == at_) return;
    links.push_back({.from = at_,
                     .to = to,
                     .bytes_per_second = topology_.link_bytes_per_second * share,
                     .is_wide = is_wide});
    at_ = to;
  }

  std::vector<Link> links;

 private:
  const Topology& topology_;
  Vertex at_;
};

void cross_switch(const Topology&, const Message& m, Route& route) {
  route.go({1, 0});
  route.go({0, m.to});
}

void climb_tree(const Topology& t, const Message& m, Route& route) {
  std::vector<std::int64_t> below{1};  // units below a vertex of each stage
  for (const auto extent : t.extents)
    below.push_back(below.back() * extent);
  below.push_back(std::numeric_limits<std::int64_t>::max());  // the top is above all
  const auto share = [&](std::size_t stage) {
    return static_cast<double>(below[stage]) / std::pow(t.taper, static_cast<double>(stage));
  };
  const auto is_wide = [&](std::size_t stage) { return stage > 0 && t.taper <= 1; };
  std::size_t top = 1;
  while (m.from / below[top] != m.to / below[top])
    ++top;
  for (std::size_t stage = 1; stage <= top; ++stage)
    route.go({static_cast<int>(stage), m.from / below[stage]}, share(stage - 1), is_wide(stage - 1));
  for (std::size_t stage = top; stage-- > 0;)
    route.go({static_cast<int>(stage), m.to / below[stage]}, share(stage), is_wide(stage));
}

void walk_torus(const Topology& t, const Message& m, Route& route) {
  std::int64_t at = m.from, stride = 1;
  for (const auto extent : t.extents) {
    const auto here = at / stride % extent, there = m.to / stride % extent;
    const auto forward = (there - here + extent) % extent;
    const auto hops = std::min(forward, extent - forward);
    for (std::int64_t hop = 1; hop <= hops; ++hop) {
      const auto next = forward == hops ? (here + hop) % extent : (here - hop + extent) % extent;
      route.go({0, at + (next - here) * stride});
    }
    at += (there - here) * stride;
    stride *= extent;
  }
}

void fly(const Topology& t, const Message& m, Route& route) {
  const auto units = t.extents[0], routers = t.extents[1];
  const auto mine = m.from / units, its = m.to / units;  // routers
  const auto my_group = mine / routers, its_group = its / routers;
  route.go({1, mine});
  if (my_group != its_group) {
    route.go({1, my_group * routers + its_group % routers});
    route.go({1, its_group * routers + my_group % routers}, 1 / t.taper);
  }
  route.go({1, its});
  route.go({0, m.to});
}

void take_rail(const Topology& t, const Message& m, Route& route) {
  route.go({1, m.rank % t.extents[0]});
  route.go({0, m.to});
}

struct Kind {
  std::string_view name;
  std::size_t least_extents, most_extents;
  bool extents_hold_units;  ///< their product is how many there are at most
  void (*route)(const Topology&, const Message&, Route&);
};

constexpr Kind kinds[] = {{"crossbar", 0, 0, false, cross_switch},
                          {"fat-tree", 1, 8, false, climb_tree},
                          {"torus", 2, 3, true, walk_torus},
                          {"dragonfly", 3, 3, true, fly},
                          {"rails", 1, 1, false, take_rail}};

const Kind* kind_of(const Topology& topology) {
  const auto* const known = std::ranges::find(kinds, topology.kind, &Kind::name);
  return known == std::end(kinds) ? nullptr : known;
}

}  // namespace

std::vector<Link> links_between(const Machine& machine, int from, int to) {
  if (machine.levels.empty() || from == to) return {};
  const auto number = machine.level_between(from, to);
  const auto& level = machine.levels[number];
  const auto* const kind = kind_of(level.topology);
  if (kind == nullptr) return {};
  const auto inside = machine.ranks_joined_by(number);
  const auto first = from - from % level.ranks;  // of the level's unit
  const Message message{(from - first) / inside, (to - first) / inside, to % inside};
  Route route(level.topology, message.from);
  kind->route(level.topology, message, route);
  for (auto& link : route.links) {
    link.level = static_cast<std::int64_t>(number);
    link.unit = from / level.ranks;
  }
  return route.links;
}

std::string name_of(const Machine& machine, const Link& link) {
  const auto number = static_cast<std::size_t>(link.level);
  const auto& level = machine.levels[number];
  const auto joined = number == 0 ? "rank" : machine.levels[number - 1].name;
  const auto first = number + 1 == machine.levels.size()
                         ? 0  // there is one unit
                         : link.unit * (level.ranks / machine.ranks_joined_by(number));
  const auto name = [&](const Vertex& vertex) {
    if (vertex.stage == 0) return joined + " " + std::to_string(first + vertex.index);
    return "switch " + std::to_string(vertex.stage) + "." + std::to_string(vertex.index);
  };
  const auto unit = number + 1 == machine.levels.size() ? "" : " " + std::to_string(link.unit);
  return level.name + unit + ": " + name(link.from) + " to " + name(link.to);
}

std::string misfit(const Topology& topology, std::int64_t units) {
  const auto* const kind = kind_of(topology);
  if (kind == nullptr) return "";
  const auto& extents = topology.extents;
  if (extents.size() < kind->least_extents || extents.size() > kind->most_extents) {
    const auto least = std::to_string(kind->least_extents), most = std::to_string(kind->most_extents);
    return "must have " + (least == most ? least : least + " to " + most) + " extents, a " + topology.kind;
  }
  if (std::ranges::count(extents, 0) > 0) return "must have extents from 1";
  const double held = std::accumulate(
      extents.begin(), extents.end(), 1.0,
      [](double product, std::int64_t extent) { return product * static_cast<double>(extent); });
  if (kind->extents_hold_units && held < static_cast<double>(units))
    return "joins fewer units than its level has, which are " + std::to_string(units);
  if (held > 0x1p53) return "must join fewer units";
  return "";
}

}  // namespace partita::machine
