/// Schedules for other simulators: their messages match, their bytes are the ledger's, and a plain reading of
/// them has the event model's times.
#include "partita/predict/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "partita/step/traffic.hpp"
#include "runs.hpp"

namespace partita::predict {
namespace {

using collective::Algorithm;
using machine::Picoseconds;
using topology::GridExtent;

struct Case {
  const machine::Machine& machine;
  const Subject& subject;
  const step::Roles& roles;
  const sim::Costs& costs;
  Schedule schedule;
};

constexpr GridExtent grids[] = {{.data = 4},
                                {.data = 5},
                                {.data = 2, .tensor = 3},
                                {.data = 3, .pipeline = 2},
                                {.pipeline = 2, .tensor = 2}};

/// With overheads, and with rendezvous from 300 bytes on.
machine::Machine random_machine_of_two_protocols(std::mt19937& random) {
  auto machine = random_machine(random);
  machine.overheads = {.start_seconds = 3e-7, .wait_seconds = 2e-7, .step_seconds = 4e-6};
  for (auto& level : machine.levels) {
    level.protocols.push_back(level.protocols.front());
    level.protocols.back().min_bytes = kernels::Bytes(300);
    level.protocols.back().rendezvous = true;
  }
  return machine;
}

/// Calls visit(case) of random runs and machines on each grid, with each algorithm.
template <class Visit>
void for_each_case(std::initializer_list<Algorithm> algorithms, Visit&& visit) {
  std::mt19937 random(4);
  for (const auto algorithm : algorithms)
    for (const auto& grid : grids) {
      auto run = random_run(random);
      while (run.model.layers.size() < 3)
        run = random_run(random);
      run.train.batch += 20;
      run.sync.algorithm = algorithm;
      const auto machine = random_machine_of_two_protocols(random);
      auto subject = subject_on(run, grid, machine, 2 * grid.pipeline);
      subject.site.node_of.clear();
      for (int r = 0; r < static_cast<int>(grid.size()); ++r)
        subject.site.node_of.push_back(algorithm == Algorithm::hierarchical ? r / 2 : 0);
      const auto roles = roles_of(subject);
      const Supposed supposed{.machine = machine, .speed = {{1, 0.5}}};
      const auto costs = costs_of(subject, supposed, roles, run.train.batch);
      visit(Case{machine, subject, roles, costs, schedule_of(subject, roles, costs)});
    }
}

using Ends = std::tuple<int, int, int>;  // from, to, tag

TEST(Schedule, EverySendHasItsReceive) {
  std::size_t messages = 0;
  for_each_case({Algorithm::ring, Algorithm::recursive_doubling, Algorithm::halving_doubling,
                 Algorithm::double_tree, Algorithm::window, Algorithm::hierarchical, Algorithm::mpi},
                [&](const Case& c) {
                  std::map<Ends, std::vector<kernels::Bytes>> sent, received;
                  for (int r = 0; r < static_cast<int>(c.schedule.size()); ++r)
                    for (const auto& task : c.schedule[static_cast<std::size_t>(r)]) {
                      for (const auto& m : task.sends)
                        sent[{r, m.peer, task.tag}].push_back(m.bytes);
                      for (const auto& m : task.receives)
                        received[{m.peer, r, task.tag}].push_back(m.bytes);
                    }
                  EXPECT_EQ(sent, received);
                  messages += sent.size();
                });
  EXPECT_GT(messages, 500U);
}

TEST(Schedule, BytesAreThoseOfTheTrafficFormula) {
  for_each_case({Algorithm::ring, Algorithm::halving_doubling, Algorithm::hierarchical, Algorithm::window},
                [](const Case& c) {
                  for (std::size_t r = 0; r < c.schedule.size(); ++r) {
                    collective::TrafficCounts formula, exported;
                    for (const auto& [key, of_step] : step::traffic_of_step(
                             *c.roles.by_rank[r], static_cast<int>(r), c.subject.split.batch, c.subject.site))
                      formula += of_step.counts;
                    for (const auto& task : c.schedule[r]) {
                      for (const auto& m : task.sends)
                        exported.wire_bytes += m.bytes;
                      for (const auto& m : task.receives)
                        exported.wire_bytes_received += m.bytes;
                    }
                    EXPECT_EQ(exported.wire_bytes, formula.wire_bytes);
                    EXPECT_EQ(exported.wire_bytes_received, formula.wire_bytes_received);
                  }
                });
}

TEST(Schedule, TasksNeedEarlierOnesOfTheirRank) {
  for_each_case({Algorithm::ring, Algorithm::window}, [](const Case& c) {
    for (const auto& tasks : c.schedule)
      for (std::size_t t = 0; t < tasks.size(); ++t) {
        EXPECT_EQ(tasks[t].after.empty(), t == 0);
        for (const int earlier : tasks[t].after)
          EXPECT_LT(earlier, static_cast<int>(t));
      }
  });
}

/// When the last task of each rank ends, by the rules of time read off the tasks alone.
class Reading {
 public:
  Reading(const Schedule& schedule, const machine::Machine& machine)
      : schedule_(schedule), machine_(machine) {
    for (const auto& tasks : schedule)
      states_.emplace_back(tasks.size());
  }

  std::vector<Picoseconds> ends() && {
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      for (std::size_t r = 0; r < schedule_.size(); ++r)
        for (std::size_t t = 0; t < schedule_[r].size(); ++t)
          goes_on = advance(static_cast<int>(r), schedule_[r][t], states_[r][t]) || goes_on;
    }
    std::vector<Picoseconds> ends;
    for (const auto& states : states_)
      ends.push_back(states.back().end.value());
    return ends;
  }

 private:
  struct State {
    std::optional<Picoseconds> entered, end;
    std::vector<std::size_t> sent, received;  ///< numbers of its messages
  };
  struct Transit {
    std::optional<Picoseconds> handed_over, asked_for;
  };

  bool advance(int rank, const Task& task, State& state) {
    if (state.end) return false;
    if (state.entered) return finish(rank, task, state);
    Picoseconds begin = 0;
    for (const int earlier : task.after) {
      const auto end = states_[static_cast<std::size_t>(rank)][static_cast<std::size_t>(earlier)].end;
      if (!end) return false;
      begin = std::max(begin, *end);
    }
    state.entered = begin;
    for (const auto& m : task.receives)
      at(received_[{m.peer, rank, task.tag}], {m.peer, rank, task.tag}, state.received).asked_for = begin;
    for (const auto& m : task.sends)
      at(sent_[{rank, m.peer, task.tag}], {rank, m.peer, task.tag}, state.sent).handed_over = begin + m.core;
    return true;
  }
  Transit& at(std::size_t& count, const Ends& ends, std::vector<std::size_t>& numbers) {
    numbers.push_back(count++);
    auto& all = transits_[ends];
    if (all.size() <= numbers.back()) all.resize(numbers.back() + 1);
    return all[numbers.back()];
  }

  bool finish(int rank, const Task& task, State& state) {
    Picoseconds over = *state.entered + task.compute, core = 0;
    for (std::size_t i = 0; i < task.sends.size(); ++i) {
      const auto& m = task.sends[i];
      const auto left = left_of(rank, m.peer, task.tag, state.sent[i], m.bytes);
      if (!left) return false;
      const auto time = machine_.message(rank, m.peer, m.bytes);
      over = std::max(over, time.rendezvous ? *left + time.bytes : *left);
    }
    for (std::size_t i = 0; i < task.receives.size(); ++i) {
      const auto& m = task.receives[i];
      const auto left = left_of(m.peer, rank, task.tag, state.received[i], m.bytes);
      if (!left) return false;
      const auto time = machine_.message(m.peer, rank, m.bytes);
      over = std::max(over, *left + time.latency + time.bytes);
      core += m.core;
    }
    state.end = over + core;
    return true;
  }
  std::optional<Picoseconds> left_of(int from, int to, int tag, std::size_t number, kernels::Bytes bytes) {
    const auto& transit = transits_.at({from, to, tag}).at(number);
    const auto time = machine_.message(from, to, bytes);
    if (!transit.handed_over || (time.rendezvous && !transit.asked_for)) return {};
    return time.rendezvous ? std::max(*transit.handed_over, *transit.asked_for + time.latency)
                           : *transit.handed_over;
  }

  const Schedule& schedule_;
  const machine::Machine& machine_;
  std::vector<std::vector<State>> states_;
  std::map<Ends, std::size_t> sent_, received_;
  std::map<Ends, std::vector<Transit>> transits_;
};

TEST(Schedule, APlainReadingHasTheTimesOfTheSimulation) {
  int cases = 0;
  for_each_case(
      {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::halving_doubling, Algorithm::double_tree},
      [&](const Case& c) {
        const auto simulation = sim::simulate(c.roles.by_rank, c.costs, 1);
        const auto ends = Reading(c.schedule, c.machine).ends();
        for (std::size_t r = 0; r < ends.size(); ++r) {
          EXPECT_EQ(ends[r], simulation.steps[0][r].end + c.costs.core.step) << r;
          ++cases;
        }
      });
  EXPECT_GT(cases, 80);
}

TEST(Schedule, TheCoreIsAsBusyAsInTheSimulation) {
  for_each_case({Algorithm::ring, Algorithm::window}, [](const Case& c) {
    const auto simulation = sim::simulate(c.roles.by_rank, c.costs, 1);
    for (std::size_t r = 0; r < c.schedule.size(); ++r) {
      Picoseconds core = 0;
      for (const auto& task : c.schedule[r])
        if (task.lane == 0) core += task.compute;
      const auto& step = simulation.steps[0][r];
      EXPECT_EQ(core, step.busy + step.progress + c.costs.core.step);
    }
  });
}

}  // namespace
}  // namespace partita::predict
