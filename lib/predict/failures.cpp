/// Intervals in closed form, goodput by playing failures.
#include "partita/predict/failures.hpp"

#include <algorithm>
#include <cmath>

#include "partita/kernels/philox.hpp"

namespace partita::predict {

kernels::Bytes checkpoint_bytes(const Subject& subject) {
  const auto& cadence = subject.split.plan.cadence;
  const auto& local = cadence.local;
  const auto of_rule = std::ssize(kernels::states_of(subject.optimizer));
  auto states = of_rule + (cadence.is_delayed ? 1 : 0) + (local.has_outer_step() ? 1 : 0);
  if (local.is_on() && local.states == step::LocalStates::keep)
    states += of_rule * subject.split.plan.grid.data;
  kernels::Bytes bytes{};
  for (const auto& layer : subject.split.model.layers)
    for (const auto& parameter : layer.parameters())
      bytes += bytes_of(subject.format.type,
                        parameter.shape.elements() * (layer.trains(parameter) ? 1 + states : 1));
  return bytes;
}

double young_seconds(const Failures& f) { return std::sqrt(2 * f.checkpoint_seconds * f.mtbf_seconds); }

double daly_seconds(const Failures& f) {
  const double share = f.checkpoint_seconds / (2 * f.mtbf_seconds);
  if (share >= 1) return f.mtbf_seconds;
  return young_seconds(f) * (1 + std::sqrt(share) / 3 + share / 9) - f.checkpoint_seconds;
}

double goodput(const Failures& f, double interval_seconds, int failures, std::uint64_t seed) {
  const auto stream = kernels::random_stream(seed, kernels::RandomPurpose::synthetic_data, 0);
  const double segment = interval_seconds + f.checkpoint_seconds;
  double useful = 0, time = 0;
  for (int n = 0; n < failures; ++n) {
    const double until_failure =
        -f.mtbf_seconds * std::log1p(-kernels::random_uniform(stream, static_cast<std::uint64_t>(n)));
    time += until_failure;
    // The job was restarting since the failure before; whole segments stay, what lies behind them is lost.
    useful += interval_seconds * std::floor(std::max(0.0, until_failure - f.restart_seconds) / segment);
  }
  return time > 0 ? useful / time : 1;
}

}  // namespace partita::predict
