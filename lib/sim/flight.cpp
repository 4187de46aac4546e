/// Rounds one after the other, each entered, then waited for.
#include "flight.hpp"

namespace partita::sim {

void Meeting::tell(int rank, Picoseconds time, const Tell& tell) const {
  const auto found = under_way.find(rank);
  if (found != under_way.end()) tell(*found->second, time);
}

void Meeting::tell_ends(int from, int to, const Message& message, const Tell& tell) const {
  if (const auto sent = message.is_sent()) this->tell(from, *sent, tell);
  if (message.arrives) this->tell(to, *message.arrives, tell);
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
    if (messages->send_to) ++had_[{rank_, *messages->send_to}];
    if (messages->receive_from) ++had_[{*messages->receive_from, rank_}];
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
    const std::pair ends{*round.receive_from, rank_};
    meeting_->message(ends.first, ends.second, had_[ends]).asked_for = now;
    set_out({meeting_, ends.first, ends.second, had_[ends]}, tell);
  }
  if (!round.send_to) return 0;
  const std::pair ends{rank_, *round.send_to};
  auto& message = meeting_->message(ends.first, ends.second, had_[ends]);
  message.time = round.sent;
  message.bytes = round.sent_bytes;
  message.handed_over = now + round.sent.send;
  set_out({meeting_, ends.first, ends.second, had_[ends]}, tell);
  return round.sent.send;
}

/// A message leaves as soon as it can.
void Flight::set_out(const Passage& passage, const Tell& tell) {
  auto& message = meeting_->message(passage.from, passage.to, passage.number);
  const auto ready = message.ready();
  if (!ready) return;
  if (!message.is_on_way && network_->can_delay(passage.from, passage.to)) {
    network_->send(passage, message.time, message.bytes, *ready);
  } else if (!message.is_on_way) {
    message.drained = *ready + message.time.bytes;
    message.arrives = *message.drained + message.time.latency;
  }
  message.is_on_way = true;
  meeting_->tell_ends(passage.from, passage.to, message, tell);
}

Picoseconds Flight::enter(const TimedAccess& round, Picoseconds now, const Tell& tell) {
  const auto set = now + round.time.stage;
  meeting_->flags[rank_].push_back(set);
  for (const int member : round.members)
    if (member != rank_) meeting_->tell(member, set + round.time.flag, tell);
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
    const auto of = [&](int from, int to) {
      const auto had = had_.find({from, to});
      return meeting_->message(from, to, had == had_.end() ? 0 : had->second);
    };
    if (messages->send_to) {
      const auto sent = of(rank_, *messages->send_to).is_sent();
      if (!sent) return {};
      last = *sent;
    }
    if (messages->receive_from) {
      const auto arrives = of(*messages->receive_from, rank_).arrives;
      if (!arrives) return {};
      last = std::max(last, *arrives);
    }
    return last;
  }
  const auto& access = std::get<TimedAccess>(round);
  for (const int member : access.members) {
    if (member == rank_) continue;
    const auto& flags = meeting_->flags[member];
    if (flags.size() <= flags_) return {};
    last = std::max(last, flags[flags_] + access.time.flag);
  }
  return last;
}

}  // namespace partita::sim
