/// Every rank that runs, every round: a queue of what happens next.
///
/// Where transfers move on by themselves their clocks are functions of each other, and the order in which
/// they are found does not matter. Where a core moves them on its rank acts on what it sees at a time: then
/// the queue is in order of time, and every act of the rank takes one step that takes time. Where messages
/// meet on their way the network goes no further than what happens next; what follows from that lies in its
/// future, since nothing that ranks and transfers find out is earlier than why they do.
#include "full.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

#include "agenda.hpp"
#include "history.hpp"
#include "meetings.hpp"
#include "partita/base/error.hpp"
#include "partita/sim/deadlock.hpp"
#include "rounds_of_ranks.hpp"

namespace partita::sim {
namespace {

using step::TransferId;

const Classes* classes_of(const Quotient* quotient) { return quotient ? &quotient->classes() : nullptr; }

class Full {
 public:
  /// No quotient: all ranks run.
  Full(const step::ProgramsByRank& programs, const Costs& costs, const std::vector<step::StepKind>& kinds,
       const Quotient* quotient)
      : programs_(programs),
        costs_(costs),
        kinds_(kinds),
        network_(costs.setting && costs.setting->machine->messages_meet() ? costs.setting->machine : nullptr,
                 classes_of(quotient)),
        ranks_(programs, classes_of(quotient)),
        history_(ranks_, costs, static_cast<int>(kinds.size()), quotient == nullptr),
        meetings_(programs, quotient) {}

  Simulation run() && {
    for (auto rank = ranks_.all().rbegin(); rank != ranks_.all().rend(); ++rank)
      agenda_.push(0, rank->number);
    while (go_on()) {
    }
    for (const auto& rank : ranks_.all())
      if (!history_.has_ended(rank)) {
        const auto deadlock = find_deadlock(programs_);
        base::expect(false, "programs to simulate end", deadlock ? to_string(*deadlock, programs_) : "");
      }
    return std::move(history_).conclude(network_.uses());
  }

 private:
  using Does = Act::Does;

  /// What happens next. At one time messages end before ranks see it, and leave when all ranks have said so.
  bool go_on() {
    const auto event = agenda_.next();
    const auto end = network_.next_end(), departure = network_.next_departure();
    if (std::min({event, end, departure}) == never) return false;
    if (end <= event && end <= departure) {
      for (const auto& notice : network_.end(end))
        hear(notice);
    } else if (departure < event) {
      network_.depart(departure);
    } else {
      take_up(agenda_.take());
    }
    move_told();
    return true;
  }

  void hear(const Network::Notice& notice) {
    const auto& [meeting, ends, number] = notice.passage;
    auto& message = meeting->message(ends, number);
    if (notice.drained) message.drained = notice.drained;
    if (notice.arrives) message.arrives = notice.arrives;
    meeting->tell_ends(ends, message, tell_);
  }

  void take_up(const Event& event) {
    Rank& rank = ranks_.of(event.rank);
    if (event.wakes && rank.service && rank.service->parts().empty() && rank.does == Rank::Does::rests) {
      if (!choose(event, rank)) return;
    } else if (event.wakes) {
      if (rank.does != Rank::Does::rests) return;  // it looks by itself
      rank.now = std::max(rank.now, event.time);
      rank.does = Rank::Does::waits;
    }
    while (act(event.rank, rank) && !costs_.polls(event.rank)) {
    }
  }

  void move_told() {
    while (!told_.empty()) {
      Flight* const flight = told_.back();
      told_.pop_back();
      move_on(*flight);
    }
  }

  /// One step; whether the rank can go on. The acts of one that polls follow those of others in time: it goes
  /// on when its time has come.
  bool act(int r, Rank& rank) {
    const auto before = rank.now;
    const bool goes_on = rank.does == Rank::Does::walks   ? walk(r, rank)
                         : rank.does == Rank::Does::looks ? look(rank)
                                                          : wait(r, rank);
    base::expect(rank.now >= before, "time goes on");
    if (goes_on && costs_.polls(r)) agenda_.push(rank.now, r);
    return goes_on;
  }

  [[nodiscard]] bool is_asynchronous(int step) const {
    return kinds_[static_cast<std::size_t>(step)] == step::StepKind::asynchronous;
  }

  /// Goes on with the part of a turn that is next; false where an asynchronous server has none.
  bool serve(Rank& rank) {
    if (!rank.service) {
      int end = rank.step;
      while (end < std::ssize(kinds_) && is_asynchronous(end))
        ++end;
      rank.service.emplace(*rank.program, rank.step, end - rank.step);
      rank.instruction = 0;
      history_.record(rank).begin = rank.now;
    }
    auto& service = *rank.service;
    const auto& instructions = rank.program->instructions;
    while (!service.parts().empty()) {
      const auto& part = service.parts().front();
      rank.step = part.step;
      if (rank.instruction == 0) rank.instruction = service.begin_of(part.turn);
      if (rank.instruction < instructions.size() && instructions[rank.instruction].turn == part.turn)
        return true;
      service.end_part();
      rank.instruction = 0;
    }
    end_round(rank);
    return false;
  }
  void end_round(Rank& rank) {
    rank.step = rank.service->round();
    if (rank.service->is_between_rounds()) {
      --rank.step;
      history_.record(rank).end = rank.now;
      ++rank.step;
      if (!history_.has_ended(rank)) history_.record(rank).begin = rank.now;
    }
    rank.rested_at = rank.now;
    if (rank.service->is_over())
      rank.service.reset();
    else
      rank.does = Rank::Does::rests, agenda_.push(rank.now, rank.number, true);
  }

  /// When all has come of a worker's push; none: not yet.
  [[nodiscard]] std::optional<Picoseconds> arrival(const Rank& rank, int worker) const {
    Picoseconds last = 0;
    for (const auto transfer : rank.service->receives_of(worker)) {
      const auto* const flight = rank.flights[transfer];
      if (flight == nullptr || !flight->is_over()) return {};
      last = std::max(last, flight->clock());
    }
    return last;
  }

  /// An asynchronous server decides whose push is next when nothing more can come before; whether one is.
  bool choose(const Event& event, Rank& rank) {
    if (event.time < rank.now) return false;  // it will look then
    rank.now = event.time;
    std::size_t first = 0;
    if (costs_.polls(rank.number) && move_on(rank, first)) {
      agenda_.push(rank.now, rank.number, true);
      return false;
    }
    auto next = never;
    const auto worker = rank.service->next([&](int w) {
      const auto time = arrival(rank, w);
      if (time) next = std::min(next, *time);
      return time && *time <= rank.now;
    });
    if (worker) {
      history_.record(rank).dependency += rank.now - rank.rested_at;
      rank.service->take(*worker);
      rank.served.push_back(*worker);
      rank.instruction = 0;
      rank.does = Rank::Does::walks;
      return true;
    }
    for (auto* const active : rank.active)
      next = std::min(next, active->awaited().value_or(never));
    if (next != never) agenda_.push(next, rank.number, true);
    return false;
  }

  bool walk(int r, Rank& rank) {
    if (history_.has_ended(rank)) return false;
    const bool serves = rank.service || (rank.program->serves() && is_asynchronous(rank.step));
    if (serves && !serve(rank)) return !rank.service;
    auto& done = history_.record(rank);
    if (rank.instruction == 0 && !serves) done.begin = rank.now;
    const auto& core = costs_.core_of(r);
    if (rank.instruction == rank.program->instructions.size()) {
      end_step(rank, core);
      return true;
    }
    const auto& instruction = rank.program->instructions[rank.instruction];
    auto& span = done.instructions[rank.instruction];
    span.begin = rank.now;
    if (!instruction.in.has(kinds_[static_cast<std::size_t>(rank.step)])) {
      span.end = rank.now;
      ++rank.instruction;
      return true;
    }
    if (instruction.kind == step::Kind::wait) {
      rank.does = Rank::Does::waits;
      return true;
    }
    if (instruction.kind == step::Kind::start) {
      rank.now += core.start;
      done.progress += core.start;
      start(r, rank, *instruction.transfer);
    } else {
      const auto cost = costs_.instruction(r, instruction);
      rank.now += cost;
      done.busy += cost;
      history_.trace(rank, Does::kernel, cost);
    }
    end_instruction(rank);
    return true;
  }

  /// Of those that are no waits; then the core looks after transfers.
  void end_instruction(Rank& rank) {
    auto& done = history_.record(rank);
    const auto& core = costs_.core_of(rank.number);
    const auto& instruction = rank.program->instructions[rank.instruction];
    done.instructions[rank.instruction].end = rank.now;
    if (costs_.polls(rank.number) && !rank.active.empty()) {
      rank.does = Rank::Does::looks;
      rank.looks_at = instruction.kind == step::Kind::start ? rank.active.size() - 1 : 0;
      if (instruction.kind != step::Kind::start) {
        rank.now += core.poll;
        done.progress += core.poll;
        history_.trace(rank, Does::poll, core.poll);
      }
    }
    ++rank.instruction;
  }

  void end_step(Rank& rank, const Core& core) {
    history_.record(rank).end = rank.now;
    rank.now += core.step;
    rank.instruction = 0;
    ++rank.step;
    history_.trace(rank, Does::ends_step, core.step);
  }

  void start(int r, Rank& rank, TransferId transfer) {
    auto& meeting = meetings_.of(rank.step, r, transfer);
    auto& flight =
        flights_.emplace_back(r, meeting, network_, rounds_.of(r, *rank.program, transfer), rank.now, tell_);
    rank.flights[transfer] = &flight;
    history_.trace(rank, Does::start, costs_.core_of(r).start, &flight);
    meeting.split_waits();
    if (costs_.polls(r))
      rank.active.push_back(&flight);
    else
      move_on(flight);
  }

  /// Every transfer under way from `i` on goes as far as it gets, until something takes time. Whether
  /// something did.
  bool move_on(Rank& rank, std::size_t& i) {
    while (i < rank.active.size()) {
      Flight& flight = *rank.active[i];
      const auto took = flight.is_over() ? std::nullopt : flight.advance(rank.now, rank.now, tell_);
      if (took) history_.trace(flight, *took);
      if (flight.is_over())
        std::erase(rank.active, &flight);
      else if (!took)
        ++i;
      if (!took || *took == 0) continue;
      rank.now += *took;
      return true;
    }
    return false;
  }

  /// After an instruction.
  bool look(Rank& rank) {
    const auto before = rank.now;
    if (move_on(rank, rank.looks_at))
      history_.record(rank).progress += rank.now - before;
    else
      rank.does = Rank::Does::walks;
    return true;
  }

  bool wait(int r, Rank& rank) {
    const Flight& flight = *rank.flights[*rank.program->instructions[rank.instruction].transfer];
    std::size_t first = 0;
    if (!flight.is_over() && move_on(rank, first)) return true;
    if (flight.is_over()) {
      end_wait(rank, flight, costs_.core_of(r).wait);
      return true;
    }
    rank.does = Rank::Does::rests;
    // Woken for the next thing alone, then for the one after; for all at a time it would be ever more often.
    auto next = never;
    for (auto* const active : rank.active)
      next = std::min(next, active->awaited().value_or(never));
    if (next != never) agenda_.push(next, r, true);
    return false;
  }

  void end_wait(Rank& rank, const Flight& flight, Picoseconds overhead) {
    auto& done = history_.record(rank);
    auto& span = done.instructions[rank.instruction];
    const auto& instruction = rank.program->instructions[rank.instruction];
    rank.now = std::max(rank.now, flight.clock());
    const auto waited = rank.now - span.begin;
    auto& late =
        is_message(rank.program->transfers[*instruction.transfer]) ? done.dependency : done.straggler;
    // Of asynchronous steps nobody can tell when another had come to the same one.
    auto& exposed = is_asynchronous(rank.step) ? late : done.exposed_transfer;
    flight.meeting().waits.push_back({span.begin, waited, &late, &exposed});
    flight.meeting().split_waits();
    rank.now += overhead;
    done.progress += overhead;
    history_.trace(rank, Does::wait, overhead, &flight);
    span.end = rank.now;
    ++rank.instruction;
    rank.does = Rank::Does::walks;
  }

  /// A transfer that moves on by itself: as far as is known.
  void move_on(Flight& flight) {
    while (!flight.is_over()) {
      const auto took = flight.advance(flight.clock(), std::numeric_limits<Picoseconds>::max(), tell_);
      if (!took) return;
      history_.trace(flight, *took);
    }
    if (ranks_.of(flight.rank()).does == Rank::Does::rests) agenda_.push(flight.clock(), flight.rank(), true);
  }

  void tell(Flight& flight, Picoseconds time) {
    if (costs_.polls(flight.rank()))
      agenda_.push(time, flight.rank(), true);
    else
      told_.push_back(&flight);
  }

  const step::ProgramsByRank& programs_;
  const Costs& costs_;
  const std::vector<step::StepKind>& kinds_;  ///< of the steps
  Network network_;
  Ranks ranks_;
  Agenda agenda_;
  History history_;
  Meetings meetings_;
  RoundsOfRanks rounds_{costs_};
  std::deque<Flight> flights_;
  std::vector<Flight*> told_;  ///< that may move on
  const Tell tell_ = [this](Flight& flight, Picoseconds time) { tell(flight, time); };
};

}  // namespace

Simulation simulate_full(const step::ProgramsByRank& programs, const Costs& costs,
                         const std::vector<step::StepKind>& kinds) {
  return Full(programs, costs, kinds, nullptr).run();
}

Simulation simulate_representatives(const step::ProgramsByRank& programs, const Costs& costs,
                                    const std::vector<step::StepKind>& kinds, const Quotient& quotient) {
  return Full(programs, costs, kinds, &quotient).run();
}

}  // namespace partita::sim
