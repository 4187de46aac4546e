/// One turn after the other. Other transfers of the rank move on while it waits.
#include "service.hpp"

namespace partita::run {

using step::TurnPart;

void Service::run(int worker, TurnPart part, std::int64_t step, const kernels::StepValues& values) {
  executor_.record_times(hooks_.times(worker, step));
  executor_.run_turn({worker, part}, values, spans_);
}

/// Who waits for a server waits for the worker that is behind all others, as far as others can tell.
int Service::await_next(const step::Turns& turns, const std::vector<int>& order) {
  std::optional<int> next;
  const bool is_given = !order.empty();
  const int given = is_given ? order[static_cast<std::size_t>(turns.taken())] : -1;
  const auto look = [&] {
    if (is_given)
      next = executor_.has_push(given) ? std::optional(given) : std::nullopt;
    else
      next = turns.next([&](int worker) { return executor_.has_push(worker); });
    return next.has_value();
  };
  if (!look()) spans_.awaiting += executor_.wait_for_push(is_given ? given : turns.slowest(), look);
  return next ? *next : await_next(turns, order);
}

std::vector<PushRow> Service::serve(std::int64_t first, std::int64_t end, const std::vector<int>& order) {
  const int workers = program_.workers();
  step::Turns turns(program_.cadence.servers, workers, end - first);
  std::vector<PushRow> taken;
  std::vector<std::int64_t> answered(static_cast<std::size_t>(workers), 0),  // after so many updates
      sent(answered.size(), -1);  // the step of the answer under way
  for (int worker = 0; worker < workers; ++worker)
    run(worker, TurnPart::receive, first);
  spans_ = {};
  while (!turns.is_over()) {
    const int worker = await_next(turns, order);
    spans_.awaiting += executor_.meet_push(worker);
    const auto at = static_cast<std::size_t>(worker);
    const auto step = first + turns.clock_of(worker);
    run(worker, TurnPart::update, step, hooks_.values(step, turns.taken()));
    taken.push_back({.worker = worker, .step = step, .staleness = turns.taken() - answered[at]});
    const auto to_answer = turns.take(worker);
    if (step + 1 < end) run(worker, TurnPart::receive, step + 1);
    for (const int w : to_answer) {
      const auto i = static_cast<std::size_t>(w);
      if (sent[i] >= 0) run(w, TurnPart::settle, sent[i]);
      sent[i] = first + turns.clock_of(w) - 1;
      run(w, TurnPart::answer, sent[i]);
      answered[i] = turns.taken();
    }
    if (turns.taken() % workers == 0) hooks_.round_is_over(std::exchange(spans_, {}));
  }
  for (int worker = 0; worker < workers; ++worker)
    run(worker, TurnPart::settle, end - 1);
  executor_.record_times(nullptr);
  return taken;
}

}  // namespace partita::run
