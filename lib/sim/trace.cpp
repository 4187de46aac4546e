/// Goes back from act to act: to the one before, on the same core or of the same transfer; where there was
/// time between the two, to whom the later one waited for.
#include "trace.hpp"

#include <algorithm>

#include "partita/base/error.hpp"

namespace partita::sim {

using Does = Act::Does;

void Trace::start(const Act& act) {
  const auto& flight = *act.flight;
  add(flight.rank(), act);
  courses_[&flight].started = cores_[static_cast<std::size_t>(flight.rank())].size() - 1;
  flights_[{&flight.meeting(), flight.rank()}] = &flight;
}

void Trace::advanced(const Flight& flight, Picoseconds took) {
  const auto course = courses_.find(&flight);
  if (course == courses_.end()) return;
  const auto round = static_cast<std::uint32_t>(flight.round() - (flight.has_entered() ? 0 : 1));
  auto& acts =
      costs_.polls(flight.rank()) ? cores_[static_cast<std::size_t>(flight.rank())] : course->second.acts;
  acts.push_back({.begin = flight.clock() - took,
                  .end = flight.clock(),
                  .flight = &flight,
                  .number = round,
                  .does = flight.has_entered() ? Does::enters : Does::leaves});
}

namespace {

/// The rounds of a flight before `round` that do something.
template <class Round, class Does>
std::size_t rounds_before(const Flight& flight, std::size_t round, Does does) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < round; ++i)
    if (const auto* r = std::get_if<Round>(&flight.rounds()[i]); r && does(*r)) ++count;
  return count;
}

/// The round that does something for the time `number`, counted from 0.
template <class Round, class Does>
std::size_t nth_round(const Flight& flight, std::size_t number, Does does) {
  for (std::size_t i = 0; i < flight.rounds().size(); ++i)
    if (const auto* r = std::get_if<Round>(&flight.rounds()[i]); r && does(*r) && number-- == 0) return i;
  base::expect(false, "both ends of a message have a round for it");
  return 0;
}

auto sends_to(int peer) {
  return [peer](const TimedMessages& round) { return round.send_to == peer; };
}
auto receives_from(int peer) {
  return [peer](const TimedMessages& round) { return round.receive_from == peer; };
}
constexpr auto any_access = [](const TimedAccess&) { return true; };

}  // namespace

/// `now_` is the end of the last of the `count_` acts that lie behind.
class Trace::Walk {
 public:
  Walk(const Trace& trace, int rank, Picoseconds from)
      : trace_(trace), from_(from), acts_(&trace.core(rank)), count_(acts_->size()), rank_(rank) {
    now_ = acts_->empty() ? from : acts_->back().end;
  }

  CriticalPath back() && {
    while (now_ > from_) {
      if (count_ == 0) {
        base::expect(flight_ != nullptr, "a step begins before what it hangs on");
        go_to_start(*flight_);
        continue;
      }
      const auto& act = (*acts_)[count_ - 1];
      base::expect(act.end == now_, "the path of a step has no gap", act.end, now_);
      cross(act);
      --count_;
      const auto before = count_ > 0 ? (*acts_)[count_ - 1].end : flight_ ? flight_->start() : now_;
      if (now_ > std::max(before, from_)) follow(act);
    }
    std::ranges::reverse(path_);
    return std::move(path_);
  }

 private:
  /// Back to `begin`, which is the end of what comes next.
  void pass(Picoseconds begin, Cause cause, int rank, std::optional<int> peer,
            std::optional<std::size_t> instruction) {
    const auto first = std::max(begin, from_);
    if (now_ > first)
      path_.push_back({.begin = first,
                       .end = now_,
                       .cause = cause,
                       .rank = rank,
                       .peer = peer,
                       .instruction = instruction});
    now_ = begin;
  }
  void pass(Picoseconds begin, Cause cause, const Flight& flight, std::optional<int> peer = {}) {
    pass(begin, cause, flight.rank(), peer, trace_.act_of_start(flight).number);
  }

  void cross(const Act& act) {
    static constexpr Cause of_core[] = {Cause::kernel, Cause::start, Cause::wait, Cause::poll};
    if (act.does == Does::ends_step) return pass(act.begin, Cause::between_steps, rank_, {}, {});
    if (act.does != Does::enters && act.does != Does::leaves)
      return pass(act.begin, of_core[static_cast<std::size_t>(act.does)], rank_, {}, act.number);
    const auto& round = act.flight->rounds()[act.number];
    const bool enters = act.does == Does::enters;
    if (std::holds_alternative<TimedAccess>(round)) {
      pass(act.begin, enters ? Cause::stage : Cause::access, *act.flight);
    } else if (const auto* messages = std::get_if<TimedMessages>(&round)) {
      if (!enters) pass(act.end - messages->combine, Cause::combine, *act.flight, messages->receive_from);
      pass(act.begin, enters ? Cause::send : Cause::receive, *act.flight,
           enters ? messages->send_to : messages->receive_from);
    }
  }

  /// To whom the act waited for, which began when that had come.
  void follow(const Act& act) {
    base::expect(act.does == Does::wait || act.does == Does::leaves, "only transfers are waited for");
    if (act.does == Does::wait) return go_to(*act.flight, trace_.courses_.at(act.flight).acts.size());
    const auto& round = act.flight->rounds()[act.number];
    if (std::holds_alternative<TimedMessages>(round))
      follow_message(*act.flight, act.number);
    else if (const auto* access = std::get_if<TimedAccess>(&round))
      follow_flag(*act.flight, *access, act.number);
    else
      follow_last_start(*act.flight);
  }

  void follow_message(const Flight& flight, std::size_t number) {
    const auto& round = std::get<TimedMessages>(flight.rounds()[number]);
    const Message *sent = nullptr, *received = nullptr;
    const int me = flight.rank();
    if (round.send_to)
      sent = &message(flight, me, *round.send_to,
                      rounds_before<TimedMessages>(flight, number, sends_to(*round.send_to)));
    std::size_t nth = 0;
    if (round.receive_from) {
      nth = rounds_before<TimedMessages>(flight, number, receives_from(*round.receive_from));
      received = &message(flight, *round.receive_from, me, nth);
    }
    if (received && *received->arrives == now_) {
      const auto& sender = peer(flight, *round.receive_from);
      pass(*received->drained + received->time.latency, Cause::sharing, sender, me);
      pass(*received->drained, Cause::latency, sender, me);
      follow_bytes(*received, sender, nth_round<TimedMessages>(sender, nth, sends_to(me)), me);
    } else {
      base::expect(sent && sent->drained == now_, "a round ends when its last half is over");
      follow_bytes(*sent, flight, number, *round.send_to);
    }
  }

  /// Back to whom a message waited for that has just left the sender: this one, or its receiver.
  void follow_bytes(const Message& message, const Flight& sender, std::size_t round, int to) {
    const auto ready = *message.ready();
    pass(std::max(ready, *message.drained - message.time.bytes), Cause::bytes, sender, to);
    pass(ready, Cause::sharing, sender, to);
    if (ready == *message.handed_over) return go_to(sender, enters(sender, round) + 1);
    const auto& receiver = peer(sender, to);
    const auto nth = rounds_before<TimedMessages>(sender, round, sends_to(to));
    pass(*message.asked_for, Cause::latency, receiver, sender.rank());
    go_to(receiver, enters(receiver, nth_round<TimedMessages>(receiver, nth, receives_from(sender.rank()))));
  }

  void follow_flag(const Flight& flight, const TimedAccess& access, std::size_t number) {
    const auto nth = rounds_before<TimedAccess>(flight, number, any_access);
    const auto& flags = flight.meeting().flags;
    int last = -1;
    for (const int member : access.members)
      if (member != flight.rank() && (last < 0 || flags.at(member)[nth] > flags.at(last)[nth])) last = member;
    const auto& other = peer(flight, last);
    base::expect(flags.at(last)[nth] + access.time.flag == now_,
                 "a window is accessed once all flags are seen");
    pass(flags.at(last)[nth], Cause::flag, other, flight.rank());
    go_to(other, enters(other, nth_round<TimedAccess>(other, nth, any_access)) + 1);
  }

  void follow_last_start(const Flight& flight) {
    const auto& meeting = flight.meeting();
    pass(meeting.last_start, Cause::whole, flight);
    for (auto i = trace_.flights_.lower_bound({&meeting, 0}); i->first.first == &meeting; ++i)
      if (i->second->start() == meeting.last_start) return go_to_start(*i->second);
  }

  /// `count` acts of the flight, or of the core that moves it on, lie behind.
  void go_to(const Flight& flight, std::size_t count) {
    rank_ = flight.rank();
    const bool polls = trace_.costs_.polls(rank_);
    flight_ = polls ? nullptr : &flight;
    acts_ = polls ? &trace_.core(rank_) : &trace_.courses_.at(&flight).acts;
    count_ = count;
  }
  void go_to_start(const Flight& flight) {
    rank_ = flight.rank();
    flight_ = nullptr;
    acts_ = &trace_.core(rank_);
    count_ = trace_.courses_.at(&flight).started + 1;
  }

  [[nodiscard]] const Flight& peer(const Flight& flight, int rank) const {
    return *trace_.flights_.at({&flight.meeting(), rank});
  }
  static const Message& message(const Flight& flight, int from, int to, std::size_t number) {
    return flight.meeting().messages.at({from, to})[number];
  }

  /// Where the flight enters a round, among its acts or its core's. Cores do much else between two rounds.
  [[nodiscard]] std::size_t enters(const Flight& flight, std::size_t round) const {
    if (!trace_.costs_.polls(flight.rank())) return 2 * round;
    const auto& core = trace_.core(flight.rank());
    auto i = std::ranges::lower_bound(core, now_, {}, &Act::end);
    while (i != core.end() && (i->does != Does::enters || i->flight != &flight || i->number != round))
      ++i;
    base::expect(i != core.end(), "a message is of a round that its ranks enter");
    return static_cast<std::size_t>(i - core.begin());
  }

  const Trace& trace_;
  const Picoseconds from_;
  const Acts* acts_;
  std::size_t count_;
  int rank_;                        ///< whose core or transfer
  const Flight* flight_ = nullptr;  ///< none: a core
  Picoseconds now_;
  CriticalPath path_;
};

CriticalPath Trace::path_to(int rank, Picoseconds from) const { return Walk(*this, rank, from).back(); }

}  // namespace partita::sim
