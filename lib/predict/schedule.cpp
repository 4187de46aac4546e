/// Walks the program of every rank, and the rounds of its transfers as the event model costs them.
#include "partita/predict/schedule.hpp"

#include <algorithm>
#include <map>

#include "partita/step/counterparts.hpp"

namespace partita::predict {
namespace {

using step::Kind;

class RankWalk {
 public:
  RankWalk(const Subject& subject, const step::Program& program, int rank, const sim::Costs& costs,
           const step::Counterparts& counterparts)
      : subject_(subject),
        program_(program),
        rank_(rank),
        costs_(costs),
        core_(costs.core_of(rank)),
        counterparts_(counterparts) {}

  std::vector<Task> tasks() && {
    for (const auto& instruction : program_.instructions) {
      if (instruction.kind == Kind::start)
        start(*instruction.transfer);
      else if (instruction.kind == Kind::wait)
        wait(*instruction.transfer);
      else
        core(name_of(instruction), costs_.instruction(rank_, instruction));
    }
    core("end of the step", core_.step);
    return std::move(tasks_);
  }

 private:
  struct Flight {
    int lane = 0, last = 0, tag = 0;  ///< `last`: its latest task
    std::string name;
    std::vector<int> members;
  };

  [[nodiscard]] std::string name_of(const step::Instruction& instruction) const {
    std::string name(to_string(instruction.kind));
    if (instruction.phase != step::Phase::none) name += ' ' + std::string(to_string(instruction.phase));
    if (instruction.unit)
      name += ' ' + step::name_of(program_.units[*instruction.unit], subject_.split.model);
    return name;
  }

  int add(Task task) {
    tasks_.push_back(std::move(task));
    return static_cast<int>(tasks_.size()) - 1;
  }
  void core(std::string name, machine::Picoseconds compute) {
    Task task{.name = std::move(name), .compute = compute};
    if (last_ >= 0) task.after = {last_};
    last_ = add(std::move(task));
  }

  void start(step::TransferId id) {
    core("start", core_.start);
    const auto& transfer = program_.transfers[id];
    const auto lane = std::find(busy_.begin() + 1, busy_.end(), false) - busy_.begin();
    if (lane == std::ssize(busy_)) busy_.push_back(false);
    busy_[static_cast<std::size_t>(lane)] = true;
    Flight flight{
        .lane = static_cast<int>(lane),
        .last = last_,
        .tag = static_cast<int>(counterparts_.group(rank_, id)->value()),
        .name = std::string(to_string(transfer.operation)) + ' ' + std::string(to_string(transfer.purpose)),
        .members = topology::group_of(program_.grid, rank_, transfer.axis)};
    for (const auto& round : costs_.rounds(rank_, transfer))
      std::visit([&](const auto& r) { add_round(flight, r); }, round);
    flights_[id] = std::move(flight);
  }

  void wait(step::TransferId id) {
    core("wait", core_.wait);
    const auto& flight = flights_.at(id);
    if (tasks_[static_cast<std::size_t>(flight.last)].lane != 0)  // else it has no rounds
      tasks_.back().after.push_back(flight.last);
    busy_[static_cast<std::size_t>(flight.lane)] = false;
  }

  void add_to(Flight& flight, Task task) {
    task.lane = flight.lane;
    task.after = {flight.last};
    flight.last = add(std::move(task));
  }
  void compute(Flight& flight, const std::string& what, machine::Picoseconds time) {
    if (time > 0) add_to(flight, {.name = what + " of " + flight.name, .compute = time});
  }
  void exchange(Flight& flight, std::vector<Message> sends, std::vector<Message> receives) {
    if (sends.empty() && receives.empty()) return;
    add_to(
        flight,
        {.name = flight.name, .sends = std::move(sends), .receives = std::move(receives), .tag = flight.tag});
  }
  /// Everybody tells everybody that it is there.
  void meet(Flight& flight, const std::vector<int>& members) {
    std::vector<Message> others;
    for (const int member : members)
      if (member != rank_) others.push_back({.peer = member});
    exchange(flight, others, others);
  }

  void add_round(Flight& flight, const sim::TimedMessages& round) {
    std::vector<Message> sends, receives;
    if (round.send_to)
      sends.push_back({.peer = *round.send_to, .bytes = round.sent_bytes, .core = round.sent.send});
    if (round.receive_from)
      receives.push_back({.peer = *round.receive_from, .bytes = round.received_bytes, .core = round.receive});
    exchange(flight, std::move(sends), std::move(receives));
    compute(flight, "addition", round.combine);
  }
  void add_round(Flight& flight, const sim::TimedAccess& round) {
    compute(flight, "copy", round.time.stage);
    meet(flight, round.members);
    compute(flight, "access", round.time.access);
  }
  void add_round(Flight& flight, const sim::TimedWhole& round) {
    meet(flight, flight.members);
    compute(flight, "whole", round.duration);
  }

  const Subject& subject_;
  const step::Program& program_;
  int rank_;
  const sim::Costs& costs_;
  const sim::Core& core_;
  const step::Counterparts& counterparts_;
  std::vector<Task> tasks_;
  int last_ = -1;                 ///< of the core
  std::vector<bool> busy_{true};  ///< by lane
  std::map<step::TransferId, Flight> flights_;
};

}  // namespace

Schedule schedule_of(const Subject& subject, const step::Roles& roles, const sim::Costs& costs) {
  const step::Counterparts counterparts(roles.by_rank);
  Schedule schedule;
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r)
    schedule.push_back(
        RankWalk(subject, *roles.by_rank[r], static_cast<int>(r), costs, counterparts).tasks());
  return schedule;
}

}  // namespace partita::predict
