/// Writes the script of an exchange between representatives.
#include <map>
#include <optional>

#include "classes.hpp"
#include "relation.hpp"

namespace partita::sim {
namespace {

using Kind = ScriptRound::Kind;

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
