/// How a race is kept fair: every way is recorded as a graph, the ways take turns at being first, the device
/// is busy before the clock starts, and the peak is measured in each repetition too.
#include "race.hpp"

#include <algorithm>
#include <cmath>

#include "partita/results/statistics.hpp"

namespace partita::bench_kernels {
namespace {

using kernels::Device;
using Queue = Device::Queue;

class Stopwatch {
 public:
  explicit Stopwatch(Device& device)
      : device_(device), begin_(device.make_event()), end_(device.make_event()) {}
  /// Seconds on the device between the first and the last of what `issue` issues. What `ahead` issues keeps
  /// the device busy meanwhile: else the clock starts while the host still issues.
  template <class Ahead, class Issue>
  double seconds(const Ahead& ahead, const Issue& issue) {
    ahead();
    device_.record(*begin_, Queue::compute);
    issue();
    device_.record(*end_, Queue::compute);
    device_.synchronize();
    return device_.seconds_between(*begin_, *end_);
  }

 private:
  Device& device_;
  std::unique_ptr<Device::Event> begin_, end_;
};

/// A way's calls as one graph.
struct Recorded {
  std::unique_ptr<Device::Graph> graph;
  int calls = 1;
};

Recorded record(Device& device, const Way& way, int sets, int calls) {
  device.begin_recording();
  for (int call = 0; call < calls; ++call)
    way.issue(call % sets);
  return {device.end_recording(), calls};
}

int calls_for(double seconds_of_one, const Race& race, const Effort& effort) {
  const double wanted = effort.sample_seconds / std::max(seconds_of_one, 1e-7);
  const int calls = static_cast<int>(std::min<double>(wanted, effort.most_calls));
  return (std::max(calls, 1) + race.sets - 1) / race.sets * race.sets;
}

/// Rounds of the peak's loop that take about as long as a sample.
int peak_rounds(kernels::Backend& backend, kernels::cuda::Precision precision, Stopwatch& watch,
                const Effort& effort) {
  const int few = effort.trial_rounds;
  const auto trial = [&] { kernels::cuda::issue_peak(backend, precision, few); };
  const double taken = watch.seconds(trial, trial);
  return std::clamp(static_cast<int>(few * effort.sample_seconds / std::max(taken, 1e-6)), 1, 1 << 20);
}

}  // namespace

RaceResult run_race(kernels::Backend& backend, kernels::cuda::Precision precision, const Race& race,
                    const Effort& effort) {
  auto& device = backend.device();
  Stopwatch watch(device);
  RaceResult result{.flops = race.flops};
  std::vector<Recorded> graphs;
  std::vector<double> estimates;
  const auto ahead = [&] { kernels::cuda::issue_peak(backend, precision, effort.trial_rounds); };
  for (const auto& way : race.ways) {
    result.ways.push_back({.name = way.name, .own = way.own, .error = way.error ? way.error() : 0});
    const auto once = record(device, way, race.sets, 1);
    watch.seconds(ahead, [&] { device.issue(*once.graph); });
    estimates.push_back(watch.seconds(ahead, [&] { device.issue(*once.graph); }));
    graphs.push_back(record(device, way, race.sets, calls_for(estimates.back(), race, effort)));
    if (estimates.back() < 1) watch.seconds(ahead, [&] { device.issue(*graphs.back().graph); });
  }
  const int rounds = peak_rounds(backend, precision, watch, effort);
  const double fastest = estimates.empty() ? 0 : *std::ranges::min_element(estimates);
  for (int repetition = 0; repetition < effort.repetitions; ++repetition) {
    for (std::size_t place = 0; place < graphs.size(); ++place) {
      // Another one is first each time: none always follows the same one, which leaves it caches and a clock.
      const std::size_t i = (place + static_cast<std::size_t>(repetition)) % graphs.size();
      if (estimates[i] > 10 * fastest && repetition >= effort.slow_repetitions) continue;
      const double taken = watch.seconds(ahead, [&] { device.issue(*graphs[i].graph); });
      result.ways[i].seconds.push_back(taken / graphs[i].calls);
    }
    double flops = 0;
    const double taken =
        watch.seconds(ahead, [&] { flops = kernels::cuda::issue_peak(backend, precision, rounds); });
    result.peak.push_back(flops / taken);
  }
  return result;
}

const WayResult* RaceResult::best(bool own) const {
  const WayResult* fastest = nullptr;
  for (const auto& way : ways)
    if (way.own == own && !way.seconds.empty() &&
        (fastest == nullptr || results::median(way.seconds) < results::median(fastest->seconds)))
      fastest = &way;
  return fastest;
}

double RaceResult::flops_per_second(const WayResult& way) const {
  return flops / results::median(way.seconds);
}

double RaceResult::share_of_peak(const WayResult& way) const {
  return flops_per_second(way) / results::median(peak);
}

std::vector<double> RaceResult::ratios(const WayResult& way) const {
  std::vector<double> ratios;
  if (const auto* yardstick = best(false))
    for (std::size_t i = 0; i < std::min(way.seconds.size(), yardstick->seconds.size()); ++i)
      ratios.push_back(yardstick->seconds[i] / way.seconds[i]);
  return ratios;
}

bool RaceResult::correct() const {
  return std::ranges::all_of(ways, [](const WayResult& way) { return way.error <= 1; });
}

}  // namespace partita::bench_kernels
