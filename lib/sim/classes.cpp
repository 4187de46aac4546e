/// Colour refinement: each round mixes into a rank's colour those of all whom it meets.
#include "classes.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace partita::sim {
namespace {

using Colour = std::uint64_t;
using Colours = std::vector<Colour>;
using Kind = ScriptRound::Kind;

constexpr int most_rounds = 64;

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
constexpr Colour scramble(Colour x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}
template <class... Values>
constexpr Colour mixed(Colour colour, Values... values) {
  ((colour = scramble(colour ^ scramble(static_cast<Colour>(values)))), ...);
  return colour;
}

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

/// An exchange as refinement sees it.
class Relation {
 public:
  Relation(const Exchange& exchange, const Setting& setting) : exchange_(exchange), setting_(setting) {
    const auto& grid = setting.programs->front()->grid;
    for (const int stage : exchange.stages)
      for (int d = 0; d < grid.data; ++d)
        for (int t = 0; t < grid.tensor; ++t)
          ranks_.push_back(topology::rank_of(grid, {.data = d, .pipeline = stage, .tensor = t}));
  }

  /// Mixes into each rank's colour what it does: rounds, and the levels on which they go.
  void add_rounds(Colours& colours) const {
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

  /// Mixes in whom it meets, by their colours before; `next` by rank. Returns a sum over all.
  Colour add_others(const Colours& before, Colours& next) const {
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

  [[nodiscard]] std::size_t index(const Batch& batch, std::size_t lane, int party) const {
    const auto seat = batch.seats[static_cast<std::size_t>(party) * batch.lanes + lane];
    return static_cast<std::size_t>(ranks_[static_cast<std::size_t>(seat)]);
  }
  [[nodiscard]] std::size_t level(const Batch& batch, std::size_t lane, int a, int b) const {
    if (setting_.machine->levels.empty()) return 0;
    return setting_.machine->level_between(static_cast<int>(index(batch, lane, a)),
                                           static_cast<int>(index(batch, lane, b)));
  }
  [[nodiscard]] const std::vector<int>& ranks() const { return ranks_; }  ///< by seat

 private:
  const Exchange& exchange_;
  const Setting& setting_;
  std::vector<int> ranks_;
};

/// By role, samples and pace.
Colours first_colours(const Setting& setting) {
  Colours colours;
  for (int rank = 0; rank < static_cast<int>(setting.programs->size()); ++rank) {
    const auto& program = *(*setting.programs)[static_cast<std::size_t>(rank)];
    auto colour = mixed(0, program.at.pipeline, program.at.tensor);
    for (const auto j : program.microbatch_ids())
      colour = mixed(colour, program.samples_of(j, rank, setting.batch));
    const auto [part, speed] = setting.pace_of(rank);
    colours.push_back(mixed(colour, part, std::bit_cast<Colour>(speed)));
  }
  return colours;
}

std::size_t count_of(const Colours& colours) {
  return std::unordered_set<Colour>(colours.begin(), colours.end()).size();
}

Classes classes_by(const Colours& colours, const topology::GridExtent& grid) {
  Classes classes;
  classes.representatives.resize(static_cast<std::size_t>(grid.pipeline));
  std::unordered_map<Colour, int> number_of;
  for (int rank = 0; rank < static_cast<int>(colours.size()); ++rank) {
    const auto [known, is_new] =
        number_of.emplace(colours[static_cast<std::size_t>(rank)], static_cast<int>(number_of.size()));
    classes.class_of.push_back(known->second);
    if (!is_new) continue;
    const auto stage = static_cast<std::size_t>(topology::coordinate_of(grid, rank).pipeline);
    classes.first_rank.push_back(rank);
    classes.representatives[stage].push_back(rank);
  }
  return classes;
}

}  // namespace

std::optional<Classes> classes_of(const Setting& setting, const ExchangeByGroup& exchanges,
                                  std::size_t most) {
  auto colours = first_colours(setting);
  Colours names(colours.size());  // a colour of its own for each rank
  for (std::size_t rank = 0; rank < names.size(); ++rank)
    names[rank] = rank;
  std::set<const Exchange*> seen;
  std::set<Colour> known;
  std::vector<Relation> relations;  // that differ in who meets whom
  for (const auto& exchange : exchanges) {
    if (!exchange || !seen.insert(exchange.get()).second) continue;
    Relation relation(*exchange, setting);
    relation.add_rounds(colours);
    auto unused = colours;
    if (known.insert(relation.add_others(names, unused)).second) relations.push_back(std::move(relation));
  }
  std::size_t count = count_of(colours);
  for (int round = 0; round < most_rounds && count <= most; ++round) {
    const auto before = colours;
    for (const auto& relation : relations)
      relation.add_others(before, colours);
    const auto refined = count_of(colours);
    if (refined == count) return classes_by(before, setting.programs->front()->grid);
    count = refined;
  }
  return {};
}

namespace {

/// Writes the script of representatives.
class Between {
 public:
  Between(const Exchange& exchange, const Setting& setting, const Classes& classes)
      : exchange_(exchange), relation_(exchange, setting), classes_(classes) {}

  std::shared_ptr<const Exchange> made() && {
    auto made = std::make_shared<Exchange>();
    made->stages = exchange_.stages;
    for (const int stage : exchange_.stages) {
      made->first_seats.push_back(made->seats);
      for (const int rank : classes_.representatives[static_cast<std::size_t>(stage)])
        seat_of_[classes_.class_of[static_cast<std::size_t>(rank)]] = made->seats++;
    }
    script_.parties.resize(static_cast<std::size_t>(made->seats));
    for (const auto& batch : exchange_.batches)
      for (std::size_t lane = 0; lane < batch.lanes; ++lane)
        add(batch, lane);
    Batch batch{.script = std::make_shared<const Script>(std::move(script_)), .lanes = 1};
    for (int seat = 0; seat < made->seats; ++seat)
      batch.seats.push_back(seat);
    made->batches.push_back(std::move(batch));
    return made;
  }

 private:
  /// The representatives among a group.
  void add(const Batch& batch, std::size_t lane) {
    std::optional<int> circle;
    for (int p = 0; p < static_cast<int>(batch.script->parties.size()); ++p) {
      const auto rank = relation_.index(batch, lane, p);
      const int of_rank = classes_.class_of[rank];
      if (classes_.first_rank[static_cast<std::size_t>(of_rank)] != static_cast<int>(rank)) continue;
      if (!circle) circle = number_of(batch, lane, batch.script->circles.front(), script_.circles, circles_);
      auto& party = script_.parties[static_cast<std::size_t>(seat_of_.at(of_rank))];
      party.circle = *circle;
      add(batch, lane, p, party);
    }
  }

  void add(const Batch& batch, std::size_t lane, int p, Script::Party& party) {
    const auto& from = batch.script->parties[static_cast<std::size_t>(p)];
    for (const auto& partner : from.partners)
      party.partners.push_back({seat(batch, lane, partner.party), partner.back});
    const auto last = static_cast<int>(batch.script->parties.size()) - 1;
    for (auto round : from.rounds) {
      const auto row = [&](std::uint16_t number, std::uint16_t partner) {
        return message_row(batch, number, relation_.level(batch, lane, p, from.partners[partner].party));
      };
      if (round.kind == Kind::window) {
        round.sent = window_row(batch, round.sent);
        round.received = static_cast<std::uint16_t>(
            number_of(batch, lane, batch.script->rooms[round.received], script_.rooms, rooms_));
      } else if (round.kind == Kind::whole) {
        round.sent = message_row(batch, round.sent, relation_.level(batch, lane, 0, last));
      } else {
        if (round.send_to != ScriptRound::none) round.sent = row(round.sent, round.send_to);
        if (round.receive_from != ScriptRound::none) round.received = row(round.received, round.receive_from);
      }
      party.rounds.push_back(round);
    }
  }

  [[nodiscard]] int seat(const Batch& batch, std::size_t lane, int party) const {
    return seat_of_.at(classes_.class_of[relation_.index(batch, lane, party)]);
  }

  int number_of(const Batch& batch, std::size_t lane, const Room& room, std::vector<Room>& all,
                std::map<Room, int>& numbers) {
    std::map<int, int> count;
    for (const auto& member : room)
      ++count[seat(batch, lane, member.party)];
    Room seats;
    for (const auto& [party, times] : count)
      seats.push_back({.party = party, .several = times > 1});
    const auto [known, is_new] = numbers.emplace(seats, static_cast<int>(all.size()));
    if (is_new) all.push_back(seats);
    return known->second;
  }

  std::uint16_t message_row(const Batch& batch, std::uint16_t row, std::size_t level) {
    const auto from = row * batch.script->levels + level;
    const auto [known, is_new] =
        message_rows_.emplace(std::pair(batch.script.get(), from), small(script_.messages.size()));
    if (is_new) script_.messages.push_back(batch.script->messages[from]);
    return known->second;
  }
  std::uint16_t window_row(const Batch& batch, std::uint16_t row) {
    const auto [known, is_new] =
        window_rows_.emplace(std::pair(batch.script.get(), row), small(script_.windows.size()));
    if (is_new) script_.windows.push_back(batch.script->windows[row]);
    return known->second;
  }

  const Exchange& exchange_;
  const Relation relation_;
  const Classes& classes_;
  Script script_;
  std::map<int, int> seat_of_;  ///< by class
  std::map<Room, int> rooms_, circles_;
  std::map<std::pair<const Script*, std::size_t>, std::uint16_t> message_rows_;
  std::map<std::pair<const Script*, std::uint16_t>, std::uint16_t> window_rows_;
};

}  // namespace

std::shared_ptr<const Exchange> between_classes(const Exchange& exchange, const Setting& setting,
                                                const Classes& classes) {
  return Between(exchange, setting, classes).made();
}

}  // namespace partita::sim
