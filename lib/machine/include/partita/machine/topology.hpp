/// Which links of a network a message crosses, and what each of them carries at most: flows that meet on a
/// link share it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace partita::machine {

struct Machine;

/// How the units of the level below (nodes of a cluster, racks of a hall) are joined within a level. Links go
/// both ways, each direction on its own.
///
///   kind       extents                         a message crosses
///   crossbar                                   its unit's link to the one switch, and the target's
///   fat-tree   units of a leaf switch, leaf    links up to the lowest switch above both, then down; a
///              switches of the next one, …     switch's links up carry what those below it do, ÷ taper
///   torus      units along each of two or      links to neighbours, one dimension after the other, the
///              three dimensions                shorter way round
///   dragonfly  units of a router, routers of   its router, the group's router that has the link to the
///              a group, groups                 target's group (of link ÷ taper), and back
///   rails      rails                           the switch of the rail on which the target is: rank r of a
///                                              unit is on rail r mod rails
///
/// Fat trees after Leiserson 1985 (doi:10.1109/TC.1985.6312192), dragonflies after Kim, Dally, Scott, Abts
/// 2008 (doi:10.1109/ISCA.2008.19), both with minimal routes and links of one switch taken together.
struct Topology {
  std::string kind;  ///< empty: nobody says; then links are not shared
  std::vector<std::int64_t> extents;
  double link_bytes_per_second = 0;  ///< of a unit's link, in each direction
  double taper = 1;
  friend bool operator==(const Topology&, const Topology&) = default;
};

/// What links join: units (stage 0), their switches or routers (1), switches above these (2, …).
struct Vertex {
  int stage = 0;
  std::int64_t index = 0;  ///< within its stage
  friend auto operator<=>(const Vertex&, const Vertex&) = default;
};

/// One direction of a link in the network of one unit of a level.
struct Link {
  std::int64_t level = 0, unit = 0;
  Vertex from, to;
  double bytes_per_second = 0;
  /// Carries as much as all links that lead to it, or from it, together, and so holds nobody back: those of
  /// switches in a tree that is not tapered.
  bool is_wide = false;
  friend auto operator<=>(const Link&, const Link&) = default;
};

/// The links that a message between two ranks of the job crosses, in order; none where the level that
/// carries it has no topology.
std::vector<Link> links_between(const Machine&, int from, int to);

/// "cluster: node 3 to switch 1.0", "node 2: switch 1.0 to rank 17": switches by their stage and number.
std::string name_of(const Machine&, const Link&);

/// Why a topology cannot be, as a sentence without a subject; empty: it can. Of a level whose units number
/// `units`; 0: any number.
std::string misfit(const Topology&, std::int64_t units);

}  // namespace partita::machine
