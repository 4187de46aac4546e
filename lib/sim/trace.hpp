/// What the cores, and the transfers that move on by themselves, did in the last step, each one thing after
/// the other: from it follows why something happened no earlier.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flight.hpp"
#include "partita/sim/critical_path.hpp"

namespace partita::sim {

struct Act {
  enum class Does : std::uint8_t { kernel, start, wait, poll, ends_step, enters, leaves };
  Picoseconds begin = 0, end = 0;
  const Flight* flight = nullptr;  ///< that it starts, waits for or moves on
  std::uint32_t number = 0;        ///< of its instruction; of the round that it enters or leaves
  Does does = Does::kernel;
};

/// An act ends no later than the next one begins; it begins later than the one before ended only where it
/// waited for somebody else.
using Acts = std::vector<Act>;

class Trace {
 public:
  /// Where the core of a rank moves transfers on these have no acts of their own. The costs outlive it.
  Trace(std::size_t ranks, const Costs& costs) : costs_(costs), cores_(ranks) {}

  void add(int rank, const Act& act) { cores_[static_cast<std::size_t>(rank)].push_back(act); }
  /// The act of a core that starts a transfer, which moves on from its end.
  void start(const Act&);
  /// The transfer has taken a step that took so long.
  void advanced(const Flight&, Picoseconds took);

  /// From the end of a rank's last act back to `from`.
  [[nodiscard]] CriticalPath path_to(int rank, Picoseconds from) const;

 private:
  class Walk;
  /// A transfer, with the place of its start among the acts of its core.
  struct Course {
    std::size_t started = 0;
    Acts acts;
  };

  [[nodiscard]] const Acts& core(int rank) const { return cores_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const Act& act_of_start(const Flight& flight) const {
    return core(flight.rank())[courses_.at(&flight).started];
  }

  const Costs& costs_;
  std::vector<Acts> cores_;  ///< by rank
  std::unordered_map<const Flight*, Course> courses_;
  std::map<std::pair<const Meeting*, int>, const Flight*> flights_;  ///< by rank
};

}  // namespace partita::sim
