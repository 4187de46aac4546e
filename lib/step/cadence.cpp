/// The rules by which kinds of steps follow each other.
#include "partita/step/cadence.hpp"

#include <algorithm>

#include "partita/base/error.hpp"

namespace partita::step {

std::string_view to_string(StepKind kind) {
  switch (kind) {
    case StepKind::synchronous:
      return "synchronous";
    case StepKind::local:
      return "local";
    case StepKind::averaging:
      return "averaging";
    case StepKind::first:
      return "first";
    case StepKind::odd:
      return "odd";
    case StepKind::even:
      return "even";
    case StepKind::drain_first:
      return "drain_first";
    case StepKind::drain_second:
      return "drain_second";
    case StepKind::asynchronous:
      return "asynchronous";
  }
  return "unknown";
}

StepKind kind_of(const Cadence& cadence, const StepPlace& place) {
  if (cadence.is_delayed) {
    if (!place.before) return StepKind::first;
    return place.before == StepKind::odd ? StepKind::even : StepKind::odd;
  }
  if (cadence.servers.is_asynchronous)
    return place.step < cadence.servers.synchronous_steps ? StepKind::synchronous : StepKind::asynchronous;
  const auto& local = cadence.local;
  if (!local.is_on() || place.step < local.start) return StepKind::synchronous;
  const bool is_due = (place.step_of_epoch + 1) % local.period == 0;
  return is_due || place.is_last ? StepKind::averaging : StepKind::local;
}

std::int64_t next_quiescence(std::int64_t step, std::int64_t steps_of_epoch, std::int64_t every,
                             std::int64_t limit) {
  const auto next = std::min(limit, (step / steps_of_epoch + 1) * steps_of_epoch);
  return every > 0 ? std::min(next, (step / every + 1) * every) : next;
}

std::vector<StepKind> kinds_of_run(const Cadence& cadence, std::int64_t steps, std::int64_t steps_of_epoch) {
  std::vector<StepKind> kinds;
  for (std::int64_t s = 0; s < steps; ++s)
    kinds.push_back(kind_of(cadence, {.step = s,
                                      .step_of_epoch = s % steps_of_epoch,
                                      .is_last = (s + 1) % steps_of_epoch == 0 || s + 1 == steps,
                                      .before = s > 0 ? std::optional(kinds.back()) : std::nullopt}));
  if (cadence.is_delayed && steps > 0) kinds.push_back(drain_of(kinds.back()));
  return kinds;
}

StepKind drain_of(StepKind kind) {
  base::expect(kind == StepKind::first || kind == StepKind::odd || kind == StepKind::even,
               "a step leaves gradients", to_string(kind));
  return kind == StepKind::odd ? StepKind::drain_second : StepKind::drain_first;
}

std::vector<StepKind> kinds_of(const Cadence& cadence) {
  if (cadence.is_delayed)
    return {StepKind::first, StepKind::odd, StepKind::even, StepKind::drain_first, StepKind::drain_second};
  std::vector<StepKind> kinds;
  if (cadence.servers.is_asynchronous) {
    if (cadence.servers.synchronous_steps > 0) kinds.push_back(StepKind::synchronous);
    kinds.push_back(StepKind::asynchronous);
    return kinds;
  }
  const auto& local = cadence.local;
  if (!local.is_on() || local.start > 0) kinds.push_back(StepKind::synchronous);
  if (local.is_on() && local.period > 1) kinds.push_back(StepKind::local);
  if (local.is_on()) kinds.push_back(StepKind::averaging);
  return kinds;
}

std::vector<StepKind> kinds_by_use(const Cadence& cadence) {
  auto kinds = kinds_of(cadence);
  const auto usual = cadence.ends_in_start()           ? StepKind::synchronous
                     : cadence.is_delayed              ? StepKind::even
                     : cadence.servers.is_asynchronous ? StepKind::asynchronous
                                                       : StepKind::local;
  std::stable_partition(kinds.begin(), kinds.end(), [&](StepKind kind) { return kind == usual; });
  return kinds;
}

std::vector<StepKind> different_kinds(const Cadence& cadence) {
  return cadence.is_delayed ? std::vector{StepKind::even} : kinds_of(cadence);
}

std::vector<StepKind> two_periods_of(const Cadence& cadence) {
  if (cadence.is_uniform()) return {StepKind::synchronous};
  auto kinds = steady_steps(cadence, 1).kinds;
  if (cadence.is_delayed) kinds.push_back(drain_of(kinds.back()));
  return kinds;
}

SteadySteps steady_steps(const Cadence& cadence, int steps) {
  SteadySteps steady;
  auto& kinds = steady.kinds;
  if (cadence.is_uniform() || cadence.ends_in_start()) {
    kinds.assign(static_cast<std::size_t>(steps), StepKind::synchronous);
    return steady;
  }
  if (cadence.is_delayed) {
    steady.period = 2;
    kinds.push_back(StepKind::first);
    while (static_cast<int>(kinds.size()) < std::max(steps, 4) || kinds.size() % 2 == 0)
      kinds.push_back(kinds.size() % 2 == 1 ? StepKind::odd : StepKind::even);
  } else if (cadence.local.is_on()) {
    constexpr std::int64_t longest = 16;
    const auto period = cadence.local.epoch_steps > 0
                            ? std::min(cadence.local.period, cadence.local.epoch_steps)
                            : cadence.local.period;
    steady.period = std::min(period, longest);
    steady.left_out = period - steady.period;
    while (static_cast<int>(kinds.size()) < steps || std::ssize(kinds) < 2 * steady.period + 1 ||
           std::ssize(kinds) % steady.period != 0)
      kinds.push_back((std::ssize(kinds) + 1) % steady.period == 0 ? StepKind::averaging : StepKind::local);
  } else {
    steady.period = 8;  // workers drift apart
    kinds.assign(static_cast<std::size_t>(std::max(steps, 24)), StepKind::asynchronous);
  }
  if (cadence.start() > 0) kinds.insert(kinds.begin(), 2, StepKind::synchronous);
  return steady;
}

}  // namespace partita::step
