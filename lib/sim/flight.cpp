/// Rounds one after the other, each entered, then waited for.
#include "flight.hpp"

#include "quotient.hpp"

namespace partita::sim {

Ends Meeting::ends(int from, int to) const {
  return correspondence ? correspondence->received.at({from, to}) : Ends{from, to};
}

int Meeting::representative(int rank) const {
  return correspondence ? correspondence->classes->representative(rank) : rank;
}

void Meeting::tell(int rank, Picoseconds time, const Tell& tell) const {
  const auto found = under_way.find(rank);
  if (found != under_way.end()) tell(*found->second, time);
}

void Meeting::tell_ends(const Ends& ends, const Message& message, const Tell& tell) const {
  if (const auto sent = message.is_sent()) this->tell(representative(ends.from), *sent, tell);
  if (message.arrives) this->tell(ends.to, *message.arrives, tell);
}

void Meeting::split_waits() {
  if (started < parties) return;
  for (const auto& wait : waits) {
    const auto late = std::clamp<Picoseconds>(last_start - wait.begin, 0, wait.waited);
    *wait.late += late;
    *wait.exposed += wait.waited - late;
  }
  waits.clear();
}

Flight::Flight(int rank, Meeting& meeting, Network& network, std::vector<TimedRound> rounds,
               Picoseconds start, const Tell& tell)
    : rank_(rank),
      meeting_(&meeting),
      network_(&network),
      rounds_(std::move(rounds)),
      start_(start),
      clock_(start) {
  if (!is_over()) meeting.under_way[rank] = this;
  meeting.last_start = std::max(meeting.last_start, start);
  if (++meeting.started < meeting.parties) return;
  for (const auto& [r, flight] : meeting.under_way)
    if (const auto* whole = std::get_if<TimedWhole>(&flight->rounds_.front()))
      tell(*flight, meeting.last_start + whole->duration);
}

std::optional<Picoseconds> Flight::advance(Picoseconds now, Picoseconds sees, const Tell& tell) {
  const auto& round = rounds_[round_];
  Picoseconds took = 0;
  if (!entered_) {
    entered_ = true;
    if (const auto* messages = std::get_if<TimedMessages>(&round))
      took = enter(*messages, now, tell);
    else if (const auto* access = std::get_if<TimedAccess>(&round))
      took = enter(*access, now, tell);
    clock_ = now + took;
    return took;
  }
  const auto others = awaited();
  if (!others || *others > sees) return {};
  if (const auto* messages = std::get_if<TimedMessages>(&round)) {
    took = messages->receive + messages->combine;
    if (messages->send_to) ++sent_[*messages->send_to];
    if (messages->receive_from) ++received_[*messages->receive_from];
  } else if (const auto* access = std::get_if<TimedAccess>(&round)) {
    took = access->time.access;
    ++flags_;
  }
  clock_ = std::max(now, *others) + took;
  entered_ = false;
  ++round_;
  if (is_over()) meeting_->under_way.erase(rank_);
  return took;
}

Picoseconds Flight::enter(const TimedMessages& round, Picoseconds now, const Tell& tell) {
  if (round.receive_from) {
    const auto ends = received(round);
    const auto number = received_[ends.from];
    meeting_->message(ends, number).asked_for = now;
    set_out(ends, number, tell);
  }
  if (!round.send_to) return 0;
  const auto ends = sent(round);
  const auto number = sent_[*round.send_to];
  auto& message = meeting_->message(ends, number);
  message.time = round.sent;
  message.bytes = round.sent_bytes;
  message.handed_over = now + round.sent.send;
  set_out(ends, number, tell);
  return round.sent.send;
}

/// A message leaves as soon as it can.
void Flight::set_out(const Ends& ends, std::size_t number, const Tell& tell) {
  auto& message = meeting_->message(ends, number);
  const auto ready = message.ready();
  if (!ready) return;
  if (!message.is_on_way && network_->can_delay(ends)) {
    network_->send({meeting_, ends, number}, message.time, message.bytes, *ready);
  } else if (!message.is_on_way) {
    message.drained = *ready + message.time.bytes;
    message.arrives = *message.drained + message.time.latency;
  }
  message.is_on_way = true;
  meeting_->tell_ends(ends, message, tell);
}

Picoseconds Flight::enter(const TimedAccess& round, Picoseconds now, const Tell& tell) {
  const auto set = now + round.time.stage;
  meeting_->flags[rank_].push_back(set);
  for (const int member : round.members)
    if (member != rank_) meeting_->tell(meeting_->representative(member), set + round.time.flag, tell);
  return round.time.stage;
}

std::optional<Picoseconds> Flight::awaited() const {
  const auto& round = rounds_[round_];
  if (const auto* whole = std::get_if<TimedWhole>(&round)) {
    if (meeting_->started < meeting_->parties) return {};
    return meeting_->last_start + whole->duration;
  }
  Picoseconds last = 0;
  if (const auto* messages = std::get_if<TimedMessages>(&round)) {
    const auto number = [](const auto& had, int other) {
      const auto known = had.find(other);
      return known == had.end() ? 0 : known->second;
    };
    if (messages->send_to) {
      const auto left = meeting_->message(sent(*messages), number(sent_, *messages->send_to)).is_sent();
      if (!left) return {};
      last = *left;
    }
    if (messages->receive_from) {
      const auto arrives =
          meeting_->message(received(*messages), number(received_, *messages->receive_from)).arrives;
      if (!arrives) return {};
      last = std::max(last, *arrives);
    }
    return last;
  }
  const auto& access = std::get<TimedAccess>(round);
  for (const int member : access.members) {
    if (member == rank_) continue;
    const auto& flags = meeting_->flags[meeting_->representative(member)];
    if (flags.size() <= flags_) return {};
    last = std::max(last, flags[flags_] + access.time.flag);
  }
  return last;
}

}  // namespace partita::sim
