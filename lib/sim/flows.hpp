/// How fast flows are that share links: max–min fair, each at most as fast as it is alone. No flow can be
/// faster without another, which is not faster than it, becoming slower.
///
/// Rates are whole numbers: their sums depend neither on the order of flows nor on whether one stands for
/// many that are alike.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "partita/machine/network.hpp"
#include "partita/machine/topology.hpp"

namespace partita::sim {

using machine::Picoseconds;

/// Of what does not happen.
inline constexpr Picoseconds never = std::numeric_limits<Picoseconds>::max();

/// A link on the way of a flow. Where the two stand for many that are alike: how many of these flows cross
/// each of these links.
struct Crossing {
  std::size_t link = 0;
  std::int64_t flows = 1;
};

/// Flows and links have numbers from 0 in the order in which they come. Time only goes on. A flow that nobody
/// slows down ends after exactly the time that it takes alone.
class Flows {
 public:
  /// The slowest unit's link says how fine rates are.
  explicit Flows(double bytes_per_second);

  std::size_t add_link(const machine::Link&);

  /// A flow that crosses each of these links once, and takes at least `alone`. The crossings outlive it.
  std::size_t begin(Picoseconds now, const std::vector<Crossing>&, std::int64_t bytes, Picoseconds alone);

  /// When the next flow ends if no other begins; `never` where there is none.
  Picoseconds next_end();
  /// All flows that end then, in ascending order.
  std::vector<std::size_t> end(Picoseconds now);

  [[nodiscard]] Picoseconds busy(std::size_t link) const { return links_[link].busy; }
  [[nodiscard]] std::int64_t bytes(std::size_t link) const { return links_[link].bytes; }

 private:
  __extension__ using Rate = __int128;  ///< in 2^-fineness_ bytes a picosecond
  struct Link {
    double bytes_per_picosecond = 0;
    Rate capacity = 0;
    std::vector<std::size_t> flows;  ///< under way
    std::int64_t count = 0;          ///< with all for which they stand
    Rate wanted = 0;                 ///< by all of them, if each were as fast as alone
    bool is_wide = false;            ///< whatever they want
    bool binds = false;              ///< they want more than there is
    bool touched = false;            ///< flows have come or gone since rates were right
    bool reached = false;
    Rate left = 0;          ///< by flows that have their rates
    std::int64_t open = 0;  ///< flows that have not
    bool is_narrow = false;
    Picoseconds busy = 0, busy_since = 0;
    std::int64_t bytes = 0;
  };
  struct Flow {
    const std::vector<Crossing>* crossings;
    double bytes;
    Picoseconds alone;
    Rate fastest;
    double remaining;   ///< bytes, at `since`
    Picoseconds since;  ///< then it got its rate
    Rate rate;
    Picoseconds end;
    bool reached = false;
    bool is_over = false;
  };
  Flow& flow(std::size_t number) { return flows_[number - forgotten_]; }

  [[nodiscard]] Rate rate_of(double bytes_per_picosecond) const;
  [[nodiscard]] double in_bytes(Rate) const;
  void touch(std::size_t link);
  void settle();
  void reach(const Link&, std::vector<std::size_t>& flows);
  void fill(std::vector<std::size_t> flows, const std::vector<std::size_t>& links);
  [[nodiscard]] Rate level_of(const std::vector<std::size_t>& links);
  void fix(std::size_t number, Rate rate);
  void set_rate(std::size_t number, Rate rate);

  int fineness_;
  Picoseconds now_ = 0;
  std::vector<Link> links_;
  std::size_t forgotten_ = 0;                           ///< the first flows, which are over
  std::deque<Flow> flows_;                              ///< the others
  std::set<std::pair<Picoseconds, std::size_t>> ends_;  ///< of the flows under way
  std::vector<std::size_t> touched_;
};

}  // namespace partita::sim
