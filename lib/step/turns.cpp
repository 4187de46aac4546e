/// A worker whose clock is the least is always answered at once, and so some worker always goes on.
#include "partita/step/turns.hpp"

#include <algorithm>

#include "partita/base/error.hpp"

namespace partita::step {

Turns::Turns(const Servers& servers, int workers, std::int64_t steps)
    : servers_(servers),
      steps_(steps),
      clocks_(static_cast<std::size_t>(workers)),
      waits_(clocks_.size()),
      last_(workers - 1) {}

int Turns::slowest() const {
  int slowest = -1;
  for (int worker = 0; worker < workers(); ++worker)
    if (awaits(worker) && (slowest < 0 || clock_of(worker) < clock_of(slowest))) slowest = worker;
  return slowest;
}

bool Turns::may_be_answered(int worker, std::int64_t least) const {
  if (clock_of(worker) == steps_) return least == steps_;
  return !servers_.bound || least >= clock_of(worker) - *servers_.bound;
}

std::vector<int> Turns::take(int worker) {
  base::expect(awaits(worker), "a push that was awaited is taken; of worker", worker);
  ++clocks_[at(worker)];
  ++taken_;
  waits_[at(worker)] = 1;
  last_ = worker;
  const auto least = *std::ranges::min_element(clocks_);
  std::vector<int> answered;
  for (int w = 0; w < workers(); ++w)
    if (waits_[at(w)] && may_be_answered(w, least)) {
      answered.push_back(w);
      waits_[at(w)] = 0;
    }
  return answered;
}

bool can_follow(const std::vector<std::vector<LoggedPush>>& orders, const Servers& servers, int workers,
                std::int64_t steps) {
  std::vector<Turns> turns(orders.size(), Turns(servers, workers, steps));
  std::vector<std::int64_t> pushed(static_cast<std::size_t>(workers), 1);
  std::vector<std::size_t> answers(pushed.size());  // to its last push
  std::vector<std::vector<std::int64_t>> answered(orders.size(),
                                                  std::vector<std::int64_t>(pushed.size()));  // after updates
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    for (std::size_t s = 0; s < orders.size(); ++s) {
      auto& of_server = turns[s];
      const auto taken = static_cast<std::size_t>(of_server.taken());
      if (of_server.is_over() || taken >= orders[s].size()) continue;
      const auto [worker, staleness] = orders[s][taken];
      if (worker < 0 || worker >= workers || !of_server.awaits(worker) ||
          of_server.clock_of(worker) >= pushed[static_cast<std::size_t>(worker)])
        continue;
      if (staleness != of_server.taken() - answered[s][static_cast<std::size_t>(worker)]) return false;
      for (const int to : of_server.take(worker)) {
        const auto w = static_cast<std::size_t>(to);
        answered[s][w] = of_server.taken();
        if (++answers[w] == orders.size()) ++pushed[w], answers[w] = 0;
      }
      goes_on = true;
    }
  }
  return std::ranges::all_of(turns, [](const Turns& t) { return t.is_over(); });
}

}  // namespace partita::step
