/// Adds up, link by link, what all transfers of a block of ranks send.
///
/// A link is a machine on which transfers are jobs: each has a time before which it cannot begin, since the
/// rank that starts it has other things to do first, and something that follows it. From any of these times
/// on the jobs that begin no earlier take as long as all of them together (Carlier 1982,
/// doi:10.1016/S0377-2217(82)80007-6).
#include "link_times.hpp"

#include <algorithm>
#include <memory>
#include <set>

namespace partita::predict {
namespace {

using machine::Picoseconds;

/// More ranks together take too long to look at.
constexpr std::int64_t most_ranks = 64;

/// Those whose messages share links of a level with each other's.
std::int64_t ranks_sharing(const machine::Machine& machine, std::size_t number, std::int64_t ranks) {
  const auto& topology = machine.levels[number].topology;
  const auto inside = machine.ranks_joined_by(number);
  if (topology.kind.empty() || inside >= ranks) return 0;  // none cross it
  if (topology.kind == "rails") return 1;                  // but those of other units
  const bool is_tapered = topology.kind == "fat-tree" && topology.taper > 1;
  const auto below = is_tapered ? inside * topology.extents.front() : inside;
  return below < std::min(ranks, most_ranks + 1) ? below : inside;
}

}  // namespace

LinkTimes::LinkTimes(const Supposed& supposed, const cost::JobTimes& kernels, std::int64_t ranks)
    : supposed_(supposed), kernels_(kernels) {
  const auto& machine = supposed.machine;
  for (std::size_t level = 0; level < machine.levels.size(); ++level)
    if (const auto sharing = ranks_sharing(machine, level, ranks); sharing <= most_ranks)
      block_ = std::max(block_, sharing);
}

/// Ascending, without what comes twice.
std::vector<int> LinkTimes::ranks_near_last(const topology::GridExtent& grid) const {
  std::set<int> ranks;
  if (block_ == 0) return {};
  const auto block = static_cast<int>(block_);
  for (int stage = 0; stage < grid.pipeline; ++stage) {
    const int last =
        topology::rank_of(grid, {.data = grid.data - 1, .pipeline = stage, .tensor = grid.tensor - 1});
    const int first = last / block * block, end = std::min<int>(first + block, static_cast<int>(grid.size()));
    for (int rank = first; rank < end; ++rank)
      ranks.insert(rank);
  }
  return {ranks.begin(), ranks.end()};
}

std::int64_t LinkTimes::ranks_of(const topology::GridExtent& grid) const {
  return std::ssize(ranks_near_last(grid));
}

const std::vector<std::size_t>& LinkTimes::way(int from, int to) {
  const auto [known, is_new] = ways_.try_emplace({from, to});
  if (is_new)
    for (const auto& link : machine::links_between(supposed_.machine, from, to)) {
      if (link.is_wide) continue;
      const auto [number, is_first] = numbers_.try_emplace(link, links_.size());
      if (is_first) links_.push_back({.bytes_per_second = link.bytes_per_second, .loads = {}});
      known->second.push_back(number->second);
    }
  return known->second;
}

void LinkTimes::add(int rank, const Course& course) {
  for (const auto& transfer : course.started)
    for (const auto& sent : course.rounds[transfer.rounds].sent)
      for (const auto link : way(rank, sent.to)) {
        auto& loads = links_[link].loads;
        if (loads.empty()) used_.push_back(link);
        loads.push_back(
            {.start = transfer.start, .rest = sent.rendezvous ? transfer.rest : 0, .bytes = sent.bytes});
      }
}

/// Empties the link. Flows end at whole picoseconds, and their rates are whole numbers, too.
Picoseconds LinkTimes::time_of(Carrying& link) {
  constexpr double rounding = 1 - 1e-6;
  std::ranges::sort(link.loads, std::ranges::greater(), &Load::start);
  Picoseconds most = 0, rest = std::numeric_limits<Picoseconds>::max();
  kernels::Bytes bytes{};
  for (const auto& load : link.loads) {
    bytes += load.bytes;
    rest = std::min(rest, load.rest);
    const double seconds = static_cast<double>(bytes.value()) / link.bytes_per_second;
    most = std::max(most, load.start + static_cast<Picoseconds>(seconds * 1e12 * rounding) + rest);
  }
  link.loads.clear();
  return most;
}

double LinkTimes::seconds(const Subject& subject, std::int64_t batch) {
  const auto& grid = subject.split.plan.grid;
  std::map<std::pair<int, int>, std::unique_ptr<const Role>> roles;
  for (const int rank : ranks_near_last(grid)) {
    auto at = topology::coordinate_of(grid, rank);
    auto& role = roles[{at.pipeline, at.tensor}];
    at.data = 0;
    if (!role) role = std::make_unique<const Role>(supposed_, kernels_, subject, at, batch);
    add(rank, role->course(rank));
  }
  Picoseconds most = 0;
  for (const auto link : used_)
    most = std::max(most, time_of(links_[link]));
  used_.clear();
  return machine::seconds_of(most);
}

}  // namespace partita::predict
