/// Rounds of all parties, each as soon as those that it needs are there. In which order they are taken does
/// not matter: no party enters a round before both halves of its last one have met.
#include <algorithm>

#include "partita/base/error.hpp"
#include "script.hpp"

namespace partita::sim {

using Kind = ScriptRound::Kind;

Play::Play(const Script& script, std::size_t lanes, const Units& units)
    : script_(script),
      lanes_(lanes),
      units_(units),
      entered_at_(script.parties.size() * lanes),
      handed_over_(script.parties.size() * lanes),
      states_(script.parties.size()),
      arrived_(script.rooms.size()) {}

void Play::run(std::vector<Picoseconds>& clocks) {
  find_last_starts(clocks);
  clocks_ = clocks.data();
  for (int party = static_cast<int>(script_.parties.size()); party-- > 0;)
    ready_.push_back(party);
  while (!ready_.empty()) {
    const int party = ready_.back();
    ready_.pop_back();
    enter(party);
  }
  for (std::size_t p = 0; p < states_.size(); ++p)
    base::expect(states_[p].round == script_.parties[p].rounds.size(), "the rounds of a transfer fit", p);
}

void Play::find_last_starts(const std::vector<Picoseconds>& clocks) {
  last_starts_.assign(script_.circles.size() * lanes_, std::numeric_limits<Picoseconds>::min());
  for (std::size_t circle = 0; circle < script_.circles.size(); ++circle)
    for (const auto& seat : script_.circles[circle])
      for (std::size_t lane = 0; lane < lanes_; ++lane) {
        auto& last = last_starts_[circle * lanes_ + lane];
        last = std::max(last, clocks[at(seat.party) + lane]);
      }
}

const ScriptRound& Play::round_of(int party) const {
  const auto p = static_cast<std::size_t>(party);
  return script_.parties[p].rounds[states_[p].round];
}

template <class Visit>
void Play::for_each_lane(std::uint16_t row, int from, int to, Visit&& visit) const {
  const auto* const times = &script_.messages[row * script_.levels];
  if (script_.levels == 1) {
    for (std::size_t lane = 0; lane < lanes_; ++lane)
      visit(lane, *times);
    return;
  }
  for (std::size_t lane = 0; lane < lanes_; ++lane) {
    std::size_t level = 0;
    while (level < units_.size() && units_[level][at(from) + lane] != units_[level][at(to) + lane])
      ++level;
    visit(lane, times[level]);
  }
}

void Play::enter(int party) {
  const auto p = static_cast<std::size_t>(party);
  if (states_[p].round == script_.parties[p].rounds.size()) return;
  const auto& round = round_of(party);
  switch (round.kind) {
    case Kind::messages:
      return enter_messages(party, round);
    case Kind::window:
      return enter_window(party, round);
    case Kind::whole:
      return enter_whole(party, round);
  }
}

void Play::enter_messages(int party, const ScriptRound& round) {
  const auto& partners = script_.parties[static_cast<std::size_t>(party)].partners;
  auto& state = states_[static_cast<std::size_t>(party)];
  const bool sends = round.send_to != ScriptRound::none, receives = round.receive_from != ScriptRound::none;
  state = {.round = state.round, .entered = true, .sent = !sends, .received = !receives};
  auto* const clocks = clocks_ + at(party);
  std::copy_n(clocks, lanes_, entered_at_.data() + at(party));
  if (sends)
    for_each_lane(round.sent, party, partners[round.send_to].party,
                  [&](std::size_t lane, const auto& message) { clocks[lane] += message.send; });
  std::copy_n(clocks, lanes_, handed_over_.data() + at(party));
  // A partner may be there already, in the round that this one meets.
  if (sends) {
    const auto& partner = partners[round.send_to];
    const auto& other = states_[static_cast<std::size_t>(partner.party)];
    if (other.entered && !other.received && round_of(partner.party).receive_from == partner.back)
      match(party, partner.party);
  }
  if (receives && states_[static_cast<std::size_t>(party)].entered && !state.received) {
    const auto& partner = partners[round.receive_from];
    const auto& other = states_[static_cast<std::size_t>(partner.party)];
    if (other.entered && !other.sent && round_of(partner.party).send_to == partner.back)
      match(partner.party, party);
  }
}

void Play::match(int from, int to) {
  const auto *const handed_over = handed_over_.data() + at(from), *const asked = entered_at_.data() + at(to);
  auto *const sender = clocks_ + at(from), *const receiver = clocks_ + at(to);
  for_each_lane(round_of(from).sent, from, to, [&](std::size_t lane, const auto& message) {
    auto left = handed_over[lane];
    if (message.rendezvous) {
      left = std::max(left, asked[lane] + message.latency);
      sender[lane] = std::max(sender[lane], left + message.bytes);
    }
    receiver[lane] = std::max(receiver[lane], left + message.latency + message.bytes);
  });
  states_[static_cast<std::size_t>(from)].sent = true;
  states_[static_cast<std::size_t>(to)].received = true;
  end_if_over(from);
  if (to != from) end_if_over(to);
}

void Play::end_if_over(int party) {
  const auto& state = states_[static_cast<std::size_t>(party)];
  if (!state.sent || !state.received) return;
  const auto& round = round_of(party);
  if (round.receive_from != ScriptRound::none) {
    const int from = script_.parties[static_cast<std::size_t>(party)].partners[round.receive_from].party;
    auto* const clocks = clocks_ + at(party);
    for_each_lane(round.received, from, party,
                  [&](std::size_t lane, const auto& message) { clocks[lane] += message.receive; });
  }
  end_round(party);
}

void Play::end_round(int party) {
  auto& state = states_[static_cast<std::size_t>(party)];
  state.entered = false;
  ++state.round;
  ready_.push_back(party);
}

void Play::enter_window(int party, const ScriptRound& round) {
  const auto stage = script_.windows[round.sent].stage;
  for (std::size_t lane = 0; lane < lanes_; ++lane)
    handed_over_[at(party) + lane] = clocks_[at(party) + lane] += stage;
  states_[static_cast<std::size_t>(party)].entered = true;
  if (++arrived_[round.received] == script_.rooms[round.received].size()) settle(round.received);
}

/// All flags are set: each party sees the last one that is not its own.
void Play::settle(std::size_t number) {
  const auto& room = script_.rooms[number];
  arrived_[number] = 0;
  for (std::size_t lane = 0; lane < lanes_; ++lane) {
    const Seat* last = nullptr;
    Picoseconds second = std::numeric_limits<Picoseconds>::min(), first = second;
    for (const auto& seat : room) {
      const auto flag = handed_over_[at(seat.party) + lane];
      if (last && flag <= first) {
        second = std::max(second, flag);
        continue;
      }
      second = first;
      first = flag;
      last = &seat;
    }
    for (const auto& seat : room) {
      const auto& window = script_.windows[round_of(seat.party).sent];
      auto& clock = clocks_[at(seat.party) + lane];
      const bool alone = room.size() == 1 && !seat.several;
      const auto others = &seat == last && !seat.several ? second : first;
      if (!alone) clock = std::max(clock, others + window.flag);
      clock += window.access;
    }
  }
  for (const auto& seat : room)
    end_round(seat.party);
}

/// A vendor's: it counts as a message between the first of its ranks and the last.
void Play::enter_whole(int party, const ScriptRound& round) {
  const auto circle = static_cast<std::size_t>(script_.parties[static_cast<std::size_t>(party)].circle);
  const int last_party = static_cast<int>(script_.parties.size()) - 1;
  for_each_lane(round.sent, 0, last_party, [&](std::size_t lane, const auto& message) {
    auto& clock = clocks_[at(party) + lane];
    clock = std::max(clock, last_starts_[circle * lanes_ + lane] + message.send + message.latency +
                                message.bytes + message.receive);
  });
  end_round(party);
}

}  // namespace partita::sim
