/// A line of ranks for the cores of each node.
#include "processors.hpp"

#include <algorithm>

#include "partita/base/error.hpp"

namespace partita::sim {

Processors::Processors(const std::optional<SharedCores>& cores, std::size_t ranks) {
  if (!cores) return;
  cores_ = *cores;
  ranks_.resize(ranks);
  for (auto first = std::int64_t{0}; first < std::ssize(ranks_); first += cores_.node_ranks) {
    const auto of_node = std::min(cores_.node_ranks, std::ssize(ranks_) - first);
    nodes_.push_back({.free = cores_.ranks_at_once, .is_shared = of_node > cores_.ranks_at_once, .line = {}});
  }
}

Picoseconds Processors::begin(int rank, Picoseconds now) {
  const auto begins = now + (node_of(rank).is_shared ? cores_.yield : 0);
  of(rank) = {.has_core = true, .slice_end = begins + cores_.slice};
  return begins;
}

std::optional<Picoseconds> Processors::ask(int rank, Picoseconds now) {
  base::expect(!of(rank).has_core, "a rank has one core", rank);
  auto& node = node_of(rank);
  if (node.free == 0) {
    node.line.push_back(rank);
    return {};
  }
  --node.free;
  return begin(rank, now);
}

std::optional<Processors::Successor> Processors::leave(int rank, Picoseconds now) {
  base::expect(of(rank).has_core, "a rank that leaves a core has one", rank);
  of(rank).has_core = false;
  auto& node = node_of(rank);
  if (node.line.empty()) {
    ++node.free;
    return {};
  }
  const int next = node.line.front();
  node.line.pop_front();
  return Successor{next, begin(next, now)};
}

bool Processors::is_due(int rank, Picoseconds now) const {
  return now >= of(rank).slice_end && !node_of(rank).line.empty();
}

Picoseconds Processors::granted(int rank, Picoseconds now, Picoseconds work) {
  auto& slice_end = of(rank).slice_end;
  if (now >= slice_end) slice_end = now + cores_.slice;
  return std::min(work, slice_end - now);
}

}  // namespace partita::sim
