/// All-reduce by loads and stores in a shared-memory window, alone or inside each node of a hierarchy.
#include <algorithm>
#include <map>
#include <numeric>

#include "partita/collective/rounds.hpp"

namespace partita::collective {
namespace {

std::vector<int> ranks_below(int p) {
  std::vector<int> ranks(static_cast<std::size_t>(p));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

std::vector<int> without(std::vector<int> ranks, int rank) {
  std::erase(ranks, rank);
  return ranks;
}

/// Share i of the members' cut of a range.
Range member_share(Range range, std::size_t i, std::size_t members) {
  const auto cut =
      topology::share(static_cast<std::int64_t>(i), static_cast<std::int64_t>(members), range.size());
  return {range.begin + cut.begin, range.begin + cut.end};
}

Range share_of(std::span<const std::int64_t> cuts, int rank) {
  return {cuts[static_cast<std::size_t>(rank)], cuts[static_cast<std::size_t>(rank) + 1]};
}

/// The first rank of each node, in order of the nodes.
std::vector<int> leaders_of(std::span<const int> node_of) {
  std::map<int, int> first;
  for (std::size_t r = 0; r < node_of.size(); ++r)
    first.emplace(node_of[r], static_cast<int>(r));
  std::vector<int> leaders;
  for (const auto& [node, rank] : first)
    leaders.push_back(rank);
  return leaders;
}

}  // namespace

std::int64_t WindowRound::loaded() const {
  std::int64_t elements = 0;
  for (const auto& load : loads)
    elements += load.range.size() * static_cast<std::int64_t>(load.from.size());
  return elements;
}

Rounds staged_window_all_reduce(int p, int rank, std::int64_t n, Combine combine,
                                const WindowTuning& tuning) {
  Rounds rounds;
  const auto all = ranks_below(p);
  const std::int64_t chunk = std::max<std::int64_t>(1, tuning.chunk);
  for (std::int64_t begin = 0; p > 1 && begin < n; begin += chunk) {
    const Range piece{begin, std::min(n, begin + chunk)};
    if (p == 2 || n <= tuning.gather) {
      rounds.push_back(WindowRound{.next_slot = true,
                                   .stage_in = piece,
                                   .members = all,
                                   .loads = {{.from = all, .range = piece, .combine = combine}}});
      continue;
    }
    const Range mine = member_share(piece, static_cast<std::size_t>(rank), all.size());
    rounds.push_back(WindowRound{.next_slot = true,
                                 .stage_in = piece,
                                 .members = all,
                                 .loads = {{.from = all, .range = mine, .combine = combine}}});
    WindowRound exchange{.stage_in = mine, .members = all};
    for (const int peer : without(all, rank))
      exchange.loads.push_back(
          {.from = {peer}, .range = member_share(piece, static_cast<std::size_t>(peer), all.size())});
    rounds.push_back(std::move(exchange));
  }
  return rounds;
}

Rounds direct_window_all_reduce(int p, int rank, std::int64_t n, Combine combine) {
  Rounds rounds;
  if (p == 1 || n == 0) return rounds;
  const auto all = ranks_below(p);
  const Range mine = member_share({0, n}, static_cast<std::size_t>(rank), all.size());
  rounds.push_back(WindowRound{.members = all,
                               .loads = {{.from = all, .range = mine, .combine = combine}},
                               .store_to = without(all, rank),
                               .store = mine});
  rounds.push_back(WindowRound{.members = all});
  return rounds;
}

Rounds staged_window_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine combine,
                                    std::int64_t chunk) {
  Rounds rounds;
  const auto all = ranks_below(p);
  const Range mine = share_of(cuts, rank);
  chunk = std::max<std::int64_t>(1, chunk);
  for (std::int64_t begin = 0, n = cuts.back(); p > 1 && begin < n; begin += chunk) {
    WindowRound round{.next_slot = true, .stage_in = {begin, std::min(n, begin + chunk)}, .members = all};
    const Range loaded{std::max(mine.begin, round.stage_in.begin), std::min(mine.end, round.stage_in.end)};
    if (loaded.begin < loaded.end) round.loads.push_back({.from = all, .range = loaded, .combine = combine});
    rounds.push_back(std::move(round));
  }
  return rounds;
}

Rounds direct_window_reduce_scatter(int p, int rank, std::span<const std::int64_t> cuts, Combine combine) {
  if (p == 1 || cuts.back() == 0) return {};
  const auto all = ranks_below(p);
  WindowRound round{.exposed = {0, cuts.back()}, .members = all};
  if (const Range mine = share_of(cuts, rank); !mine.empty())
    round.loads.push_back({.from = all, .range = mine, .combine = combine});
  return {std::move(round), WindowRound{.members = all}};
}

Rounds direct_window_all_gather(int p, int rank, std::span<const std::int64_t> cuts) {
  if (p == 1 || cuts.back() == 0) return {};
  const auto all = ranks_below(p);
  WindowRound round{.exposed = share_of(cuts, rank), .members = all};
  for (const int peer : without(all, rank))
    if (const Range theirs = share_of(cuts, peer); !theirs.empty())
      round.loads.push_back({.from = {peer}, .range = theirs});
  return {std::move(round), WindowRound{.members = all}};
}

Rounds hierarchical_all_reduce(int rank, std::span<const int> node_of, std::int64_t n, Combine combine) {
  std::vector<int> members;  // of the rank's node
  for (std::size_t r = 0; r < node_of.size(); ++r)
    if (node_of[r] == node_of[static_cast<std::size_t>(rank)]) members.push_back(static_cast<int>(r));
  const int leader = members.front();
  const auto leaders = rank == leader ? leaders_of(node_of) : std::vector<int>{};
  const Range whole{0, n};
  Rounds rounds;
  if (n == 0) return rounds;
  if (members.size() > 1) {
    const auto me =
        static_cast<std::size_t>(std::find(members.begin(), members.end(), rank) - members.begin());
    const Range mine = member_share(whole, me, members.size());
    rounds.push_back(WindowRound{.next_slot = true,
                                 .stage_in = whole,
                                 .members = members,
                                 .loads = {{.from = members, .range = mine, .combine = combine}}});
    WindowRound collect{.stage_in = mine, .members = members};
    for (std::size_t i = 1; rank == leader && i < members.size(); ++i)
      collect.loads.push_back({.from = {members[i]}, .range = member_share(whole, i, members.size())});
    rounds.push_back(std::move(collect));
  }
  if (rank == leader && leaders.size() > 1) {
    const auto position = std::find(leaders.begin(), leaders.end(), rank) - leaders.begin();
    const int p = static_cast<int>(leaders.size());
    rounds.reserve(2 * static_cast<std::size_t>(p) + 1);
    for (auto& round : ring_all_reduce(p, static_cast<int>(position), even_cuts(p, n), combine)) {
      auto& message = std::get<MessageRound>(round);
      message.send_to = leaders[static_cast<std::size_t>(message.send_to)];
      message.receive_from = leaders[static_cast<std::size_t>(message.receive_from)];
      rounds.push_back(message);
    }
  }
  if (members.size() > 1) {
    WindowRound spread{.members = members};
    if (rank == leader)
      spread.stage_in = whole;
    else
      spread.loads.push_back({.from = {leader}, .range = whole});
    rounds.push_back(std::move(spread));
  }
  return rounds;
}

}  // namespace partita::collective
