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

Flight::Flight(int rank, Meeting& meeting, Network& network, const std::vector<TimedRound>& rounds,
               Picoseconds start, const Tell& tell)
    : rank_(rank), meeting_(&meeting), network_(&network), rounds_(&rounds), start_(start), clock_(start) {
  if (!is_over()) meeting.under_way[rank] = this;
  meeting.last_start = std::max(meeting.last_start, start);
  if (++meeting.started < meeting.parties) return;
  for (const auto& [r, flight] : meeting.under_way)
    if (const auto* whole = std::get_if<TimedWhole>(&flight->rounds_->front()))
      tell(*flight, meeting.last_start + whole->duration);
}

std::optional<Picoseconds> Flight::advance(Picoseconds now, Picoseconds sees, const Tell& tell) {
  const auto& round = (*rounds_)[round_];
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
    if (messages->send_to) ++line_to(*messages->send_to).had;
    if (messages->receive_from) ++line_from(*messages->receive_from).had;
  } else if (const auto* access = std::get_if<TimedAccess>(&round)) {
    took = access->time.access;
    ++flags_;
    seen_members_ = 0;
    latest_flag_ = 0;
  }
  clock_ = std::max(now, *others) + took;
  entered_ = false;
  ++round_;
  if (is_over()) meeting_->under_way.erase(rank_);
  return took;
}

/// The latest are looked at first: rounds with one rank mostly follow each other.
Flight::Line& Flight::line_to(int other) {
  const auto known = std::ranges::find(sent_.rbegin(), sent_.rend(), other, &Line::other);
  return known != sent_.rend() ? *known : new_line(sent_, other, meeting_->ends(rank_, other));
}

Flight::Line& Flight::line_from(int other) {
  const auto known = std::ranges::find(received_.rbegin(), received_.rend(), other, &Line::other);
  return known != received_.rend() ? *known : new_line(received_, other, {other, rank_});
}

Flight::Line& Flight::new_line(std::vector<Line>& lines, int other, const Ends& ends) {
  lines.push_back({.other = other, .ends = ends, .messages = &meeting_->messages[ends]});
  return lines.back();
}

Picoseconds Flight::enter(const TimedMessages& round, Picoseconds now, const Tell& tell) {
  if (round.receive_from) {
    const auto& line = line_from(*round.receive_from);
    line.next().asked_for = now;
    set_out(line, tell);
  }
  if (!round.send_to) return 0;
  const auto& line = line_to(*round.send_to);
  auto& message = line.next();
  message.time = round.sent;
  message.bytes = round.sent_bytes;
  message.handed_over = now + round.sent.send;
  set_out(line, tell);
  return round.sent.send;
}

/// The next message of a line leaves as soon as it can.
void Flight::set_out(const Line& line, const Tell& tell) {
  auto& message = line.next();
  const auto ready = message.ready();
  if (!ready) return;
  if (!message.is_on_way && network_->can_delay(line.ends)) {
    network_->send({meeting_, line.ends, line.had}, message.time, message.bytes, *ready);
  } else if (!message.is_on_way) {
    message.drained = *ready + message.time.bytes;
    message.arrives = *message.drained + message.time.latency;
  }
  message.is_on_way = true;
  meeting_->tell_ends(line.ends, message, tell);
}

Picoseconds Flight::enter(const TimedAccess& round, Picoseconds now, const Tell& tell) {
  const auto set = now + round.time.stage;
  meeting_->flags[rank_].push_back(set);
  for (const int member : round.members)
    if (member != rank_) meeting_->tell(meeting_->representative(member), set + round.time.flag, tell);
  return round.time.stage;
}

std::optional<Picoseconds> Flight::awaited() {
  const auto& round = (*rounds_)[round_];
  if (const auto* whole = std::get_if<TimedWhole>(&round)) {
    if (meeting_->started < meeting_->parties) return {};
    return meeting_->last_start + whole->duration;
  }
  Picoseconds last = 0;
  if (const auto* messages = std::get_if<TimedMessages>(&round)) {
    if (messages->send_to) {
      const auto left = line_to(*messages->send_to).next().is_sent();
      if (!left) return {};
      last = *left;
    }
    if (messages->receive_from) {
      const auto arrives = line_from(*messages->receive_from).next().arrives;
      if (!arrives) return {};
      last = std::max(last, *arrives);
    }
    return last;
  }
  const auto& access = std::get<TimedAccess>(round);
  for (; seen_members_ < access.members.size(); ++seen_members_) {
    const int member = access.members[seen_members_];
    if (member == rank_) continue;
    const auto& flags = meeting_->flags[meeting_->representative(member)];
    if (flags.size() <= flags_) return {};
    latest_flag_ = std::max(latest_flag_, flags[flags_] + access.time.flag);
  }
  return latest_flag_;
}

}  // namespace partita::sim
