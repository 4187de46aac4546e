/// Which ranks have cores where a node has fewer of them than ranks: first come, first served. A rank leaves
/// its core when it waits, and, where others stand in line, when its time slice is over: for slices much
/// shorter than what ranks compute that is processor sharing.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "partita/sim/costs.hpp"

namespace partita::sim {

class Processors {
 public:
  /// None: every rank has a core of its own.
  Processors(const std::optional<SharedCores>&, std::size_t ranks);

  [[nodiscard]] bool are_shared() const { return !nodes_.empty(); }
  [[nodiscard]] bool has_core(int rank) const { return nodes_.empty() || of(rank).has_core; }

  /// Asks for a core, which the rank does not have. From when it can go on, if one is free; else the rank
  /// stands in line.
  std::optional<Picoseconds> ask(int rank, Picoseconds now);
  /// Who comes next has the core then.
  struct Successor {
    int rank = 0;
    Picoseconds begins = 0;
  };
  std::optional<Successor> leave(int rank, Picoseconds now);

  /// Of so much work of a rank with a core, what it gets done before its slice is over; begins a new slice
  /// where that is the case and nobody stands in line.
  [[nodiscard]] Picoseconds granted(int rank, Picoseconds now, Picoseconds work);
  /// Whether the rank has to leave its core to others.
  [[nodiscard]] bool is_due(int rank, Picoseconds now) const;

 private:
  struct Node {
    std::int64_t free = 0;
    bool is_shared = false;  ///< the last one may have few ranks
    std::deque<int> line;
  };
  struct Rank {
    bool has_core = false;
    Picoseconds slice_end = 0;
  };
  [[nodiscard]] const Rank& of(int rank) const { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] Rank& of(int rank) { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const Node& node_of(int rank) const {
    return nodes_[static_cast<std::size_t>(rank / cores_.node_ranks)];
  }
  [[nodiscard]] Node& node_of(int rank) { return nodes_[static_cast<std::size_t>(rank / cores_.node_ranks)]; }
  Picoseconds begin(int rank, Picoseconds now);

  SharedCores cores_;
  std::vector<Node> nodes_;  ///< none: nothing is shared
  std::vector<Rank> ranks_;
};

}  // namespace partita::sim
