/// Adds up, link by link, what all transfers of a block of ranks send.
///
/// Steps follow each other no faster than a link carries what all ranks send over it in one. A rank that
/// waits until its messages have left ends a step no sooner after the last one than they take: for it the
/// link is a machine on which its transfers are jobs, each of which cannot begin before its rank starts it,
/// and is followed by what the rank does then. From any of these starts on the jobs that begin no earlier
/// take as long as all of them together (Carlier 1982, doi:10.1016/S0377-2217(82)80007-6). Of several ranks
/// starts do not count: they need not end a step at the same time.
#include "link_bound.hpp"

#include <algorithm>
#include <limits>
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

LinkBound::LinkBound(const Supposed& supposed, const cost::JobTimes& kernels, std::int64_t ranks)
    : supposed_(supposed), kernels_(kernels) {
  const auto& machine = supposed.machine;
  for (std::size_t level = 0; level < machine.levels.size(); ++level)
    if (const auto sharing = ranks_sharing(machine, level, ranks); sharing <= most_ranks)
      block_ = std::max(block_, sharing);
}

/// Ascending, without what comes twice.
std::vector<int> LinkBound::ranks_near_last(const topology::GridExtent& grid) const {
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

std::int64_t LinkBound::ranks_of(const topology::GridExtent& grid) const {
  return std::ssize(ranks_near_last(grid));
}

const std::vector<std::size_t>& LinkBound::way(int from, int to) {
  const auto [known, is_new] = ways_.try_emplace({from, to});
  if (is_new)
    for (const auto& link : machine::links_between(supposed_.machine, from, to)) {
      if (link.is_wide) continue;
      const auto [number, is_first] = numbers_.try_emplace(link, links_.size());
      if (is_first) links_.push_back({.bytes_per_second = link.bytes_per_second, .awaited = {}});
      known->second.push_back(number->second);
    }
  return known->second;
}

Picoseconds LinkBound::add(int rank, const Course& course) {
  std::set<std::size_t> own;
  for (const auto& transfer : course.started)
    for (const auto& sent : course.rounds[transfer.rounds].sent)
      for (const auto link : way(rank, sent.to)) {
        links_[link].bytes += sent.bytes;
        used_.insert(link);
        if (!sent.rendezvous) continue;
        links_[link].awaited.push_back({.start = transfer.start, .rest = transfer.rest, .bytes = sent.bytes});
        own.insert(link);
      }
  Picoseconds most = 0;
  for (const auto link : own)
    most = std::max(most, time_of_awaited(links_[link]));
  return most;
}

/// Flows end at whole picoseconds, and their rates are whole numbers, too.
Picoseconds LinkBound::time_of(kernels::Bytes bytes, const Carrying& link) {
  constexpr double rounding = 1 - 1e-6;
  return static_cast<Picoseconds>(static_cast<double>(bytes.value()) / link.bytes_per_second * 1e12 *
                                  rounding);
}

/// Forgets them.
Picoseconds LinkBound::time_of_awaited(Carrying& link) {
  std::ranges::sort(link.awaited, std::ranges::greater(), &Load::start);
  Picoseconds most = 0, rest = std::numeric_limits<Picoseconds>::max();
  kernels::Bytes bytes{};
  for (const auto& load : link.awaited) {
    bytes += load.bytes;
    rest = std::min(rest, load.rest);
    most = std::max(most, load.start + time_of(bytes, link) + rest);
  }
  link.awaited.clear();
  return most;
}

double LinkBound::seconds(const Subject& subject, std::int64_t batch) {
  const auto& grid = subject.split.plan.grid;
  std::map<std::pair<int, int>, std::unique_ptr<const Role>> roles;
  Picoseconds most = 0;
  for (const int rank : ranks_near_last(grid)) {
    auto at = topology::coordinate_of(grid, rank);
    auto& role = roles[{at.pipeline, at.tensor}];
    at.data = 0;
    if (!role) role = std::make_unique<const Role>(supposed_, kernels_, subject, at, batch);
    most = std::max(most, add(rank, role->course(rank)));
  }
  for (const auto number : used_) {
    auto& link = links_[number];
    most = std::max(most, time_of(std::exchange(link.bytes, {}), link));
  }
  used_.clear();
  return machine::seconds_of(most);
}

}  // namespace partita::predict
