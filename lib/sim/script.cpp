/// From the rounds of each member to one script.
#include "script.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "partita/base/error.hpp"

namespace partita::sim {
namespace {

using collective::Combine;
using kernels::Bytes;

template <class T>
std::uint16_t number_in(std::vector<T>& list, const T& element) {
  const auto found = std::find(list.begin(), list.end(), element);
  const auto number = small(static_cast<std::size_t>(found - list.begin()));
  if (found == list.end()) list.push_back(element);
  return number;
}

class Writer {
 public:
  explicit Writer(const machine::TransferTimes& times) : times_(times) {}

  void add(const collective::Spec& spec, const collective::Place& at, bool is_message, int part) {
    member_ = at.rank;
    part_ = part;
    element_ = bytes_of(spec.type, kernels::Elements(1));
    partner_of_.clear();
    auto& party = script_.parties.emplace_back();
    if (is_vendors(spec)) {
      const auto sent = traffic_of(spec, at).modelled_wire_bytes.value_or(Bytes(0));
      party.rounds.push_back(
          {.kind = ScriptRound::Kind::whole, .sent = number_in(script_.rows, Script::Row{sent})});
      return;
    }
    for (const auto& round : rounds_of(spec, at))
      std::visit([&](const auto& r) { add_round(party, r, is_message); }, round);
    party.rounds.shrink_to_fit();
  }

  Script finish() && {
    for (int p = 0; p < static_cast<int>(script_.parties.size()); ++p)
      for (auto& partner : of(p).partners)
        partner.back = back_of(partner.party, p);
    Room all;
    for (int p = 0; p < static_cast<int>(script_.parties.size()); ++p)
      all.push_back({.party = p});
    script_.circles.push_back(std::move(all));
    script_.levels = std::max<std::size_t>(1, times_.machine().levels.size());
    for (const auto& row : script_.rows)
      for (std::size_t level = 0; level < script_.levels; ++level) {
        auto time = times_.message_on(level, row.bytes);
        if (row.combines) time.receive += times_.combine(row.bytes, row.part);
        script_.messages.push_back(time);
      }
    return std::move(script_);
  }

 private:
  Script::Party& of(int party) { return script_.parties[static_cast<std::size_t>(party)]; }
  [[nodiscard]] Bytes bytes(std::int64_t elements) const { return element_ * elements; }

  std::uint16_t partner(Script::Party& party, int other) {
    const auto [known, is_new] = partner_of_.emplace(other, small(party.partners.size()));
    if (is_new) party.partners.push_back({.party = other});
    return known->second;
  }

  void add_round(Script::Party& party, const collective::MessageRound& round, bool is_message) {
    ScriptRound timed;
    if (round.send_to >= 0 && !round.send.empty()) {
      timed.send_to = partner(party, is_message ? 1 : round.send_to);
      timed.sent = number_in(script_.rows, Script::Row{bytes(round.send.size())});
    }
    if (round.receive_from >= 0 && !round.receive.empty()) {
      timed.receive_from = partner(party, is_message ? 0 : round.receive_from);
      Script::Row row{bytes(round.receive.size())};
      if (round.combine != Combine::copy) row = {row.bytes, true, part_};
      timed.received = number_in(script_.rows, row);
    }
    if (timed != ScriptRound()) party.rounds.push_back(timed);
  }

  void add_round(Script::Party& party, const collective::WindowRound& round, bool) {
    const Sizes sizes{bytes(round.staged()), bytes(round.loaded()), bytes(round.stored())};
    const auto [row, is_new] = window_rows_.emplace(std::pair(sizes, part_), small(script_.windows.size()));
    if (is_new) script_.windows.push_back(times_.window(sizes[0], sizes[1], sizes[2], part_));
    const auto where = room(round.members);
    if (party.rooms.empty()) party.rooms.push_back(where);
    party.rounds.push_back({.kind = ScriptRound::Kind::window, .sent = row->second, .received = where});
  }

  std::uint16_t room(const std::vector<int>& members) {
    const auto known = room_of_.find(member_);
    if (known != room_of_.end()) return known->second;
    const auto number = small(script_.rooms.size());
    Room seats;
    for (const int member : members) {
      seats.push_back({.party = member});
      room_of_.emplace(member, number);
    }
    script_.rooms.push_back(std::move(seats));
    return number;
  }

  std::uint16_t back_of(int party, int partner) {
    const auto& partners = of(party).partners;
    const auto found = std::ranges::find(partners, partner, &Partner::party);
    base::expect(found != partners.end(), "both ends of a message know each other", party, partner);
    return static_cast<std::uint16_t>(found - partners.begin());
  }

  using Sizes = std::array<Bytes, 3>;

  const machine::TransferTimes& times_;
  Script script_;
  int member_ = 0, part_ = 0;
  Bytes element_{};
  std::map<int, std::uint16_t> partner_of_;
  std::map<std::pair<Sizes, int>, std::uint16_t> window_rows_;  ///< of a part
  std::map<int, std::uint16_t> room_of_;  ///< of a member: all its window rounds have the same ranks
};

}  // namespace

Script script_of(const std::vector<Member>& members, collective::Place place,
                 const machine::TransferTimes& times) {
  Writer writer(times);
  const auto operation = members.front().spec->operation;
  const bool is_message =
      operation == collective::Operation::send || operation == collective::Operation::receive;
  for (std::size_t i = 0; i < members.size(); ++i) {
    place.rank = static_cast<int>(i);
    writer.add(*members[i].spec, place, is_message, members[i].part);
  }
  return std::move(writer).finish();
}

}  // namespace partita::sim
