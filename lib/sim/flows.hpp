/// How fast flows are that share links: max–min fair, each at most as fast as it is alone. No flow can be
/// faster without another, which is not faster than it, becoming slower.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "partita/machine/network.hpp"

namespace partita::sim {

using machine::Picoseconds;

/// Of what does not happen.
inline constexpr Picoseconds never = std::numeric_limits<Picoseconds>::max();

/// Flows and links have numbers from 0 in the order in which they come. Time only goes on. A flow that nobody
/// slows down ends after exactly the time that it takes alone.
class Flows {
 public:
  std::size_t add_link(double bytes_per_second);

  /// A flow over these links, each once, which takes at least `alone`. The links outlive it.
  std::size_t begin(Picoseconds now, const std::vector<std::size_t>& links, std::int64_t bytes,
                    Picoseconds alone);

  /// When the next flow ends if no other begins; `never` where there is none.
  Picoseconds next_end();
  /// All flows that end then, in ascending order.
  std::vector<std::size_t> end(Picoseconds now);

  [[nodiscard]] Picoseconds busy(std::size_t link) const { return links_[link].busy; }
  [[nodiscard]] std::int64_t bytes(std::size_t link) const { return links_[link].bytes; }

 private:
  struct Link {
    double capacity = 0;             ///< in bytes a picosecond, as all rates
    std::vector<std::size_t> flows;  ///< under way
    double wanted = 0;               ///< by all of them, if each were as fast as alone
    bool binds = false;              ///< that is more than there is
    bool touched = false;            ///< flows have come or gone since rates were right
    bool reached = false;
    double left = 0;       ///< by flows that have their rates
    std::size_t open = 0;  ///< flows that have not
    bool is_narrow = false;
    Picoseconds busy = 0, busy_since = 0;
    std::int64_t bytes = 0;
  };
  struct Flow {
    const std::vector<std::size_t>* links;
    double bytes;
    Picoseconds alone;
    double fastest;     ///< rate
    double remaining;   ///< bytes, at `since`
    Picoseconds since;  ///< then it got its rate
    double rate;
    Picoseconds end;
    bool reached = false;
  };

  void touch(std::size_t link);
  void settle();
  void reach(const Link&, std::vector<std::size_t>& flows);
  void fill(std::vector<std::size_t> flows, const std::vector<std::size_t>& links);
  [[nodiscard]] double level_of(const std::vector<std::size_t>& links);
  void fix(std::size_t flow, double rate);
  void set_rate(std::size_t flow, double rate);

  Picoseconds now_ = 0;
  std::vector<Link> links_;
  std::vector<Flow> flows_;
  std::set<std::pair<Picoseconds, std::size_t>> ends_;  ///< of the flows under way
  std::vector<std::size_t> touched_;
};

}  // namespace partita::sim
