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
#include "meetings.hpp"
#include "partita/base/error.hpp"
#include "partita/sim/deadlock.hpp"
#include "processors.hpp"
#include "rank.hpp"
#include "trace.hpp"

namespace partita::sim {
namespace {

using step::TransferId;

class Full {
 public:
  /// No quotient: all ranks run.
  Full(const step::ProgramsByRank& programs, const Costs& costs, int steps, const Quotient* quotient)
      : programs_(programs),
        costs_(costs),
        classes_(quotient ? &quotient->classes() : nullptr),
        network_(costs.setting && costs.setting->machine->messages_meet() ? costs.setting->machine : nullptr,
                 classes_),
        processors_(costs.shared_cores, programs.size()),
        meetings_(programs, quotient),
        asked_(steps) {
    // Ranks that are ahead take cores from others also after the last step.
    if (processors_.are_shared()) ++steps;
    simulation_.steps.resize(static_cast<std::size_t>(steps));
    for (int r = 0; r < static_cast<int>(programs.size()); ++r) {
      if (classes_ && classes_->representative(r) != r) continue;
      const auto* program = programs[static_cast<std::size_t>(r)];
      ranks_.push_back({.number = r, .program = program});
      ranks_.back().flights.resize(program->transfers.size());
      for (auto& step : simulation_.steps)
        step.emplace_back().instructions.resize(program->instructions.size());
    }
    if (!classes_) trace_.emplace(ranks_.size(), costs);
  }

  Simulation run() && {
    for (auto rank = ranks_.rbegin(); rank != ranks_.rend(); ++rank)
      agenda_.push(0, rank->number);
    while (go_on()) {
    }
    for (const auto& rank : ranks_)
      if (rank.step < static_cast<int>(simulation_.steps.size())) {
        const auto deadlock = find_deadlock(programs_);
        base::expect(false, "programs to simulate end", deadlock ? to_string(*deadlock, programs_) : "");
      }
    simulation_.links = network_.uses();
    if (processors_.are_shared()) leave_out_last_step();
    simulation_.critical_path = critical_path();
    return std::move(simulation_);
  }

 private:
  using Does = Act::Does;

  /// Nobody asked for it. Each step has sent as many bytes.
  void leave_out_last_step() {
    for (auto& link : simulation_.links) {
      link.busy = link.busy / (asked_ + 1) * asked_;
      link.bytes = kernels::Bytes(link.bytes.value() / (asked_ + 1) * asked_);
    }
    simulation_.steps.pop_back();
  }
  [[nodiscard]] CriticalPath critical_path() const {
    const int last = static_cast<int>(simulation_.steps.size()) - 1;
    if (!trace_ || last < 0) return {};
    const auto& ranks = simulation_.steps.back();
    const auto latest = std::ranges::max_element(ranks, {}, &RankStep::end);
    return trace_->path_to(static_cast<int>(latest - ranks.begin()),
                           last > 0 ? simulation_.end_of(last - 1) : 0);
  }
  /// Of the last step, from before which the path needs nothing.
  [[nodiscard]] bool is_traced(const Rank& rank) const { return trace_ && rank.step + 1 == asked_; }
  /// What has just been done and took so long.
  void trace(const Rank& rank, Does does, Picoseconds took, const Flight* flight = nullptr) {
    if (!is_traced(rank)) return;
    const auto number = does == Does::gets_core && flight ? flight->round() : rank.instruction;
    const Act act{.begin = rank.now - took,
                  .end = rank.now,
                  .flight = flight,
                  .number = static_cast<std::uint32_t>(number),
                  .does = does};
    if (does == Does::start)
      trace_->start(act);
    else
      trace_->add(rank.number, act);
  }
  void trace(const Flight& flight, Picoseconds took) {
    if (is_traced(of(flight.rank()))) trace_->advanced(flight, took);
  }

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

  /// Whether its acts have to follow those of others in time, and each takes one step that takes time.
  [[nodiscard]] bool in_order(int rank) const { return costs_.polls(rank) || processors_.are_shared(); }
  Rank& of(int rank) { return ranks_[classes_ ? classes_->number_of(rank) : static_cast<std::size_t>(rank)]; }
  RankStep& record(const Rank& rank) {
    return simulation_
        .steps[static_cast<std::size_t>(rank.step)][static_cast<std::size_t>(&rank - ranks_.data())];
  }

  void take_up(const Event& event) {
    Rank& rank = of(event.rank);
    if (event.wakes) {
      if (rank.does != Rank::Does::rests) return;  // it looks by itself
      rank.now = std::max(rank.now, event.time);
      if (processors_.are_shared()) return wake(event.rank, rank);
      rank.does = Rank::Does::waits;
    }
    if (!processors_.has_core(event.rank)) return stand_in_line(event.rank, rank);
    while (act(event.rank, rank) && !in_order(event.rank)) {
    }
  }

  /// Only for what has come: to get a core takes time.
  void wake(int r, Rank& rank) {
    const auto& waited = *rank.flights[*rank.program->instructions[rank.instruction].transfer];
    const Flight* come = waited.is_over() && waited.clock() <= rank.now ? &waited : nullptr;
    for (const auto* flight : rank.active)
      if (const auto time = flight->awaited(); time && *time <= rank.now) come = flight;
    if (come == nullptr) return;
    rank.does = Rank::Does::waits;
    rank.come = come;
    stand_in_line(r, rank);
  }

  void stand_in_line(int r, Rank& rank) {
    if (const auto begins = processors_.ask(r, rank.now)) go_on_at(r, *begins);
  }
  void leave_core(int r, Picoseconds now) {
    if (!processors_.are_shared()) return;
    if (const auto next = processors_.leave(r, now)) go_on_at(next->rank, next->begins);
  }
  /// The rank has got a core. Within an instruction the time without one is the instruction's.
  void go_on_at(int r, Picoseconds begins) {
    Rank& rank = of(r);
    const auto without = begins - rank.now;
    rank.now = begins;
    if (rank.left) record(rank).busy += without;
    if (without > 0) trace(rank, Does::gets_core, without, std::exchange(rank.come, nullptr));
    agenda_.push(rank.now, r);
  }

  void move_told() {
    while (!told_.empty()) {
      Flight* const flight = told_.back();
      told_.pop_back();
      move_on(*flight);
    }
  }

  /// One step; whether the rank can go on. One that polls goes on when its time has come.
  bool act(int r, Rank& rank) {
    const auto before = rank.now;
    const bool goes_on = rank.does == Rank::Does::walks   ? walk(r, rank)
                         : rank.does == Rank::Does::looks ? look(rank)
                                                          : wait(r, rank);
    base::expect(rank.now >= before, "time goes on");
    if (goes_on && in_order(r)) agenda_.push(rank.now, r);
    return goes_on;
  }

  bool walk(int r, Rank& rank) {
    if (rank.left) return compute(r, rank);
    if (rank.step == static_cast<int>(simulation_.steps.size())) {
      leave_core(r, rank.now);
      return false;
    }
    auto& done = record(rank);
    if (rank.instruction == 0) done.begin = rank.now;
    const auto& core = costs_.core_of(r);
    if (rank.instruction == rank.program->instructions.size()) {
      end_step(rank, core);
      return true;
    }
    const auto& instruction = rank.program->instructions[rank.instruction];
    auto& span = done.instructions[rank.instruction];
    span.begin = rank.now;
    if (instruction.kind == step::Kind::wait) {
      rank.does = Rank::Does::waits;
      return true;
    }
    if (instruction.kind == step::Kind::start) {
      rank.now += core.start;
      done.progress += core.start;
      start(r, rank, *instruction.transfer);
    } else {
      rank.left = costs_.instruction(r, instruction);
      return compute(r, rank);
    }
    end_instruction(rank);
    return true;
  }

  /// As much of the kernel as the rank has its core for.
  bool compute(int r, Rank& rank) {
    if (processors_.are_shared() && processors_.is_due(r, rank.now)) {
      leave_core(r, rank.now);
      stand_in_line(r, rank);
      return false;
    }
    const auto cost = processors_.are_shared() ? processors_.granted(r, rank.now, *rank.left) : *rank.left;
    rank.now += cost;
    record(rank).busy += cost;
    trace(rank, Does::kernel, cost);
    *rank.left -= cost;
    if (*rank.left > 0) return true;
    rank.left.reset();
    end_instruction(rank);
    return true;
  }

  /// Of those that are no waits; then the core looks after transfers.
  void end_instruction(Rank& rank) {
    auto& done = record(rank);
    const auto& core = costs_.core_of(rank.number);
    const auto& instruction = rank.program->instructions[rank.instruction];
    done.instructions[rank.instruction].end = rank.now;
    if (costs_.polls(rank.number) && !rank.active.empty()) {
      rank.does = Rank::Does::looks;
      rank.looks_at = instruction.kind == step::Kind::start ? rank.active.size() - 1 : 0;
      if (instruction.kind != step::Kind::start) {
        rank.now += core.poll;
        done.progress += core.poll;
        trace(rank, Does::poll, core.poll);
      }
    }
    ++rank.instruction;
  }

  void end_step(Rank& rank, const Core& core) {
    record(rank).end = rank.now;
    rank.now += core.step;
    rank.instruction = 0;
    ++rank.step;
    trace(rank, Does::ends_step, core.step);
  }

  void start(int r, Rank& rank, TransferId transfer) {
    auto& meeting = meetings_.of(rank.step, r, transfer);
    auto& flight = flights_.emplace_back(
        r, meeting, network_, costs_.rounds(r, rank.program->transfers[transfer]), rank.now, tell_);
    rank.flights[transfer] = &flight;
    trace(rank, Does::start, costs_.core_of(r).start, &flight);
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
      if (took) trace(flight, *took);
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
      record(rank).progress += rank.now - before;
    else
      rank.does = Rank::Does::walks;
    return true;
  }

  bool wait(int r, Rank& rank) {
    const Flight& flight = *rank.flights[*rank.program->instructions[rank.instruction].transfer];
    std::size_t first = 0;
    if (!flight.is_over() && move_on(rank, first)) return true;
    if (flight.is_over() && (!processors_.are_shared() || flight.clock() <= rank.now)) {
      end_wait(rank, flight, costs_.core_of(r).wait);
      return true;
    }
    rank.does = Rank::Does::rests;
    leave_core(r, rank.now);
    if (flight.is_over()) agenda_.push(flight.clock(), r, true);
    for (const auto* active : rank.active)
      if (const auto time = active->awaited()) agenda_.push(*time, r, true);
    return false;
  }

  void end_wait(Rank& rank, const Flight& flight, Picoseconds overhead) {
    auto& done = record(rank);
    auto& span = done.instructions[rank.instruction];
    const auto& instruction = rank.program->instructions[rank.instruction];
    rank.now = std::max(rank.now, flight.clock());
    const auto waited = rank.now - span.begin;
    auto& late =
        is_message(rank.program->transfers[*instruction.transfer]) ? done.dependency : done.straggler;
    flight.meeting().waits.push_back({span.begin, waited, &late, &done.exposed_transfer});
    flight.meeting().split_waits();
    rank.now += overhead;
    done.progress += overhead;
    trace(rank, Does::wait, overhead, &flight);
    span.end = rank.now;
    ++rank.instruction;
    rank.does = Rank::Does::walks;
  }

  /// A transfer that moves on by itself: as far as is known.
  void move_on(Flight& flight) {
    while (!flight.is_over()) {
      const auto took = flight.advance(flight.clock(), std::numeric_limits<Picoseconds>::max(), tell_);
      if (!took) return;
      trace(flight, *took);
    }
    if (of(flight.rank()).does == Rank::Does::rests) agenda_.push(flight.clock(), flight.rank(), true);
  }

  void tell(Flight& flight, Picoseconds time) {
    if (costs_.polls(flight.rank()))
      agenda_.push(time, flight.rank(), true);
    else
      told_.push_back(&flight);
  }

  const step::ProgramsByRank& programs_;
  const Costs& costs_;
  const Classes* classes_;  ///< none: all ranks run
  Network network_;
  Processors processors_;
  Meetings meetings_;
  std::vector<Rank> ranks_;  ///< that run, ascending
  Agenda agenda_;
  std::deque<Flight> flights_;
  std::vector<Flight*> told_;   ///< that may move on
  std::optional<Trace> trace_;  ///< where all ranks run
  const int asked_;             ///< steps
  const Tell tell_ = [this](Flight& flight, Picoseconds time) { tell(flight, time); };
  Simulation simulation_;
};

}  // namespace

Simulation simulate_full(const step::ProgramsByRank& programs, const Costs& costs, int steps) {
  return Full(programs, costs, steps, nullptr).run();
}

Simulation simulate_representatives(const step::ProgramsByRank& programs, const Costs& costs, int steps,
                                    const Quotient& quotient) {
  return Full(programs, costs, steps, &quotient).run();
}

}  // namespace partita::sim
