/// Goes through all groups of an exchange, lane by lane.
#include "relation.hpp"

#include <algorithm>
#include <set>

#include "network.hpp"

namespace partita::sim {
namespace {

using Kind = ScriptRound::Kind;

/// Of a party in all groups of a batch: its rounds, with what they move.
Colour colour_of(const Script& script, const Script::Party& party) {
  Colour colour = 0;
  for (const auto& round : party.rounds) {
    colour = mixed(colour, static_cast<int>(round.kind), round.send_to, round.receive_from);
    if (round.kind == Kind::window) {
      const auto& w = script.windows[round.sent];
      colour = mixed(colour, w.stage, w.flag, w.access);
      continue;
    }
    const auto& sent = script.rows.empty() ? Script::Row() : script.rows[round.sent];
    const auto& received = script.rows.empty() ? Script::Row() : script.rows[round.received];
    colour = mixed(colour, sent.bytes.value(), received.bytes.value(), received.combines);
  }
  return colour;
}

/// By party: its partners to which it sends, or from which it receives; ascending.
std::vector<std::vector<std::uint16_t>> partners_by(const Script& script,
                                                    std::uint16_t ScriptRound::*direction) {
  std::vector<std::vector<std::uint16_t>> partners;
  for (const auto& party : script.parties) {
    std::set<std::uint16_t> of_party;
    for (const auto& round : party.rounds)
      if (round.kind == Kind::messages && round.*direction != ScriptRound::none)
        of_party.insert(round.*direction);
    partners.emplace_back(of_party.begin(), of_party.end());
  }
  return partners;
}

}  // namespace

std::uint32_t LinkNumbers::number_of(const machine::Link& link) {
  const auto [known, is_new] = numbers_.try_emplace(link, static_cast<std::uint32_t>(links_.size()));
  if (is_new) links_.push_back(link);
  return known->second;
}

std::size_t LinkNumbers::Hash::operator()(const machine::Link& link) const {
  return mixed(0, link.level, link.unit, link.from.stage, link.from.index, link.to.stage, link.to.index);
}

Relation::Relation(const Exchange& exchange, const Setting& setting)
    : exchange_(exchange), setting_(setting) {
  const auto& grid = setting.programs->front()->grid;
  for (const int stage : exchange.stages)
    for (int d = 0; d < grid.data; ++d)
      for (int t = 0; t < grid.tensor; ++t)
        ranks_.push_back(topology::rank_of(grid, {.data = d, .pipeline = stage, .tensor = t}));
}

std::size_t Relation::index(const Batch& batch, std::size_t lane, int party) const {
  const auto seat = batch.seats[static_cast<std::size_t>(party) * batch.lanes + lane];
  return static_cast<std::size_t>(ranks_[static_cast<std::size_t>(seat)]);
}

std::size_t Relation::level(const Batch& batch, std::size_t lane, int a, int b) const {
  if (setting_.machine->levels.empty()) return 0;
  return setting_.machine->level_between(static_cast<int>(index(batch, lane, a)),
                                         static_cast<int>(index(batch, lane, b)));
}

void Relation::add_rounds(Colours& colours) const {
  for (const auto& batch : exchange_.batches) {
    const auto& script = *batch.script;
    Colours of_party;
    for (const auto& party : script.parties)
      of_party.push_back(colour_of(script, party));
    for (std::size_t lane = 0; lane < batch.lanes; ++lane) {
      const auto ends = level(batch, lane, 0, static_cast<int>(script.parties.size()) - 1);
      for (std::size_t p = 0; p < script.parties.size(); ++p) {
        auto& colour = colours[index(batch, lane, static_cast<int>(p))];
        colour = mixed(colour, of_party[p], ends);
        for (const auto& partner : script.parties[p].partners)
          colour = mixed(colour, level(batch, lane, static_cast<int>(p), partner.party));
      }
    }
  }
}

Colour Relation::add_others(const Colours& before, Colours& next) const {
  Colour sum = 0;
  for (const auto& batch : exchange_.batches) {
    const auto& script = *batch.script;
    Colours circles(script.circles.size()), rooms(script.rooms.size());
    for (std::size_t lane = 0; lane < batch.lanes; ++lane) {
      const auto colour_of = [&](int party) { return before[index(batch, lane, party)]; };
      const auto of_all = [&](const Room& room) {
        Colour all = 0;
        for (const auto& seat : room)
          all += scramble(colour_of(seat.party));
        return all;
      };
      std::ranges::transform(script.circles, circles.begin(), of_all);
      std::ranges::transform(script.rooms, rooms.begin(), of_all);
      for (std::size_t p = 0; p < script.parties.size(); ++p) {
        const auto& party = script.parties[p];
        auto meets = mixed(circles[static_cast<std::size_t>(party.circle)]);
        for (const auto& partner : party.partners)
          meets = mixed(meets, colour_of(partner.party), partner.back);
        for (const auto room : party.rooms)
          meets = mixed(meets, rooms[room]);
        auto& colour = next[index(batch, lane, static_cast<int>(p))];
        colour = mixed(colour, meets);
        sum += mixed(meets, index(batch, lane, static_cast<int>(p)));
      }
    }
  }
  return sum;
}

template <class Visit>
void Relation::for_each_pair(Visit&& visit) const {
  for (const auto& batch : exchange_.batches) {
    const auto receivers = partners_by(*batch.script, &ScriptRound::send_to);
    for (std::size_t lane = 0; lane < batch.lanes; ++lane)
      for (std::size_t p = 0; p < receivers.size(); ++p) {
        const auto rank = index(batch, lane, static_cast<int>(p));
        for (const auto partner : receivers[p])
          visit(rank, partner, index(batch, lane, batch.script->parties[p].partners[partner].party));
      }
  }
}

void Relation::add_turns(Colours& colours) const {
  std::vector<std::pair<std::pair<int, int>, std::uint16_t>> turns;
  for (const auto& batch : exchange_.batches) {
    const auto senders = partners_by(*batch.script, &ScriptRound::receive_from);
    for (std::size_t lane = 0; lane < batch.lanes; ++lane)
      for (std::size_t p = 0; p < senders.size(); ++p) {
        const auto rank = index(batch, lane, static_cast<int>(p));
        turns.clear();
        for (const auto partner : senders[p]) {
          const auto from = index(batch, lane, batch.script->parties[p].partners[partner].party);
          turns.emplace_back(distance({static_cast<int>(from), static_cast<int>(rank)}), partner);
        }
        std::ranges::sort(turns);
        for (const auto& [distance, partner] : turns)
          colours[rank] = mixed(colours[rank], partner);
      }
  }
}

Colour Relation::senders() const {
  Colour sum = 0;
  for_each_pair([&](std::size_t rank, std::size_t partner, std::size_t) { sum += mixed(0, rank, partner); });
  return sum;
}

std::int64_t Relation::pairs() const {
  std::int64_t pairs = 0;
  for (const auto& batch : exchange_.batches)
    for (const auto& receivers : partners_by(*batch.script, &ScriptRound::send_to))
      pairs += std::ssize(receivers) * static_cast<std::int64_t>(batch.lanes);
  return pairs;
}

void Relation::find_links(LinkNumbers& numbers) {
  for_each_pair([&](std::size_t rank, std::size_t, std::size_t other) {
    const auto before = links_.size();
    for (const auto& link :
         machine::links_between(*setting_.machine, static_cast<int>(rank), static_cast<int>(other)))
      if (!link.is_wide) links_.push_back(numbers.number_of(link));
    counts_.push_back(static_cast<std::uint32_t>(links_.size() - before));
  });
}

void Relation::add_crossings(const Colours& ranks, Colour relation, Colours& sums) const {
  auto link = links_.begin();
  auto count = counts_.begin();
  for_each_pair([&](std::size_t rank, std::size_t partner, std::size_t) {
    const auto crosses = mixed(relation, ranks[rank], partner);
    for (auto left = *count++; left > 0; --left)
      sums[*link++] += crosses;
  });
}

void Relation::add_links(const Colours& links, Colours& ranks) const {
  auto link = links_.begin();
  auto count = counts_.begin();
  for_each_pair([&](std::size_t rank, std::size_t partner, std::size_t) {
    Colour crossed = 0;
    for (auto left = *count++; left > 0; --left)
      crossed += scramble(links[*link++]);
    ranks[rank] = mixed(ranks[rank], partner, crossed);
  });
}

}  // namespace partita::sim
