/// Which metrics a run has, in the order in which they are shown: each with its unit, the direction that is
/// better, whether it gates, how a change is judged, and its values by block.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "partita/results/comparison.hpp"

namespace partita::results {
namespace {

/// Steps left out at the start: caches, clocks and buffers settle.
constexpr std::size_t warm_up_steps = 5;
constexpr double points_of_fraction = 100;

std::size_t first_step(const Steps& steps) { return steps.count() > warm_up_steps ? warm_up_steps : 0; }

double mean(std::span<const double> values) {
  double sum = 0;
  for (double v : values)
    sum += v;
  return sum / static_cast<double>(values.size());
}

/// A metric whose value is one statistic of a series and whose blocks are the same of its blocks.
MetricValue sectioned(MetricValue metric) {
  metric.interval = sectioned_interval(metric.value, metric.blocks);
  return metric;
}

/// Of steps behind which ranks are not alike the mean of each stretch: single ones would leave out what comes
/// at its end, and ranks may not take them together.
void add_steps(std::vector<MetricValue>& metrics, const Steps& steps) {
  if (steps.count() == 0) return;
  std::vector<double> of_step, of_stretch, samples;
  for (const auto& stretch : steps.stretches(first_step(steps))) {
    of_step.push_back(stretch.seconds / static_cast<double>(stretch.steps));
    of_stretch.push_back(stretch.seconds);
    samples.push_back(static_cast<double>(stretch.samples));
  }
  const auto block_seconds = block_means(of_stretch);
  auto rates = block_means(samples);
  for (std::size_t i = 0; i < rates.size(); ++i)
    rates[i] /= block_seconds[i];
  metrics.push_back(sectioned({.name = "step_time",
                               .unit = "s",
                               .gated = true,
                               .value = median(of_step),
                               .blocks = block_medians(of_step)}));
  metrics.push_back(sectioned({.name = "samples_per_second",
                               .unit = "samples/s",
                               .direction = Direction::higher_is_better,
                               .gated = true,
                               .value = mean(samples) / mean(of_stretch),
                               .blocks = rates}));
}

/// Time can move from one phase to another while the step takes as long as before: phases explain the step
/// time and do not gate.
void add_phases(std::vector<MetricValue>& metrics, const Steps& steps) {
  for (std::size_t p = 0; p < phase_count; ++p) {
    const auto phase = static_cast<Phase>(p);
    std::vector<double> over_ranks;
    for (std::size_t s = first_step(steps); s < steps.count(); ++s) {
      double sum = 0;
      for (std::size_t r = 0; r < static_cast<std::size_t>(steps.ranks); ++r)
        sum += steps.at(phase, s, r);
      over_ranks.push_back(sum / static_cast<double>(steps.ranks));
    }
    if (!over_ranks.empty())
      metrics.push_back(sectioned({.name = "phase." + std::string(to_string(phase)),
                                   .unit = "s",
                                   .value = mean(over_ranks),
                                   .blocks = block_means(over_ranks)}));
  }
}

void add_quality(std::vector<MetricValue>& metrics, const RunRecord& run) {
  if (run.steps.count() > 0) metrics.push_back({.name = "loss", .unit = "1", .value = run.steps.loss.back()});
  if (run.epochs.empty()) return;
  const auto& last = run.epochs.back();
  metrics.push_back({.name = "train_loss", .unit = "1", .gated = true, .value = last.train_loss});
  if (std::isfinite(last.test_loss))
    metrics.push_back({.name = "test_loss", .unit = "1", .gated = true, .value = last.test_loss});
  if (std::isfinite(last.test_accuracy))
    metrics.push_back({.name = "test_accuracy",
                       .unit = "%",
                       .direction = Direction::higher_is_better,
                       .judgement = Judgement::points,
                       .gated = true,
                       .value = points_of_fraction * last.test_accuracy});
}

void add_latency(std::vector<MetricValue>& metrics, const RunRecord& run) {
  const auto& latency = run.inference.latency_seconds;
  if (latency.empty()) return;
  metrics.push_back(sectioned({.name = "latency",
                               .unit = "s",
                               .gated = true,
                               .value = percentile(latency, 50),
                               .blocks = block_medians(latency)}));
}

/// Figures that the steps and epochs do not give already. Of an inference these are throughput, loss and
/// accuracy. Fractions of the step time (bubble, idle) and of the communication (overlap) explain it and do
/// not gate.
void add_figures(std::vector<MetricValue>& metrics, const RunRecord& run) {
  static const std::set<std::string> gated{"throughput", "test_loss", "test_accuracy", "time_to_accuracy"};
  const bool trains = run.steps.count() > 0;
  for (const auto& figure : run.figures) {
    const bool known = std::ranges::find(metrics, figure.name, &MetricValue::name) != metrics.end();
    if (known || (trains && figure.name == "throughput")) continue;
    MetricValue metric{.name = figure.name, .unit = figure.unit, .value = figure.value};
    metric.gated = gated.contains(figure.name);
    const bool rises = figure.unit.ends_with("/s") || figure.name == "overlap";
    metric.direction = rises ? Direction::higher_is_better : Direction::lower_is_better;
    if (figure.name == "test_accuracy") {
      metric.unit = "%";
      metric.direction = Direction::higher_is_better;
      metric.judgement = Judgement::points;
      metric.value *= points_of_fraction;
    }
    metrics.push_back(metric);
  }
}

void add_traffic(std::vector<MetricValue>& metrics, const RunRecord& run) {
  std::map<std::string, std::int64_t> bytes;
  std::set<std::string> unknown;
  for (const auto& row : run.traffic) {
    if (row.key.activity != collective::Activity::train) continue;
    const std::string where = "." + std::string(to_string(row.key.axis)) + "." +
                              std::string(to_string(row.key.operation)) + "." +
                              std::string(to_string(row.key.purpose));
    bytes["payload_bytes" + where] += row.counts.payload_bytes.value();
    bytes["wire_bytes" + where] += row.counts.wire_bytes.value();
    bytes["window_bytes" + where] += (row.counts.window_bytes_read + row.counts.window_bytes_written).value();
    if (const auto modelled = row.counts.modelled_wire_bytes)
      bytes["modelled_wire_bytes" + where] += modelled->value();
    else
      unknown.insert("modelled_wire_bytes" + where);
    bytes["staged_bytes" + where] += row.counts.staged_bytes.value();
  }
  for (const auto& [name, count] : bytes)
    if (count != 0 && !unknown.contains(name))
      metrics.push_back({.name = name,
                         .unit = "byte",
                         .judgement = Judgement::exact,
                         .gated = true,
                         .value = static_cast<double>(count)});
}

void add_memory(std::vector<MetricValue>& metrics, const RunRecord& run) {
  const auto largest = [&](const std::string& name, Bytes MemoryRow::*kind) {
    std::int64_t bytes = 0;
    for (const auto& row : run.memory)
      bytes = std::max(bytes, (row.*kind).value());
    if (bytes > 0)
      metrics.push_back({.name = "memory." + name,
                         .unit = "byte",
                         .judgement = Judgement::tolerant,
                         .gated = true,
                         .value = static_cast<double>(bytes)});
  };
  largest("parameters", &MemoryRow::parameters);
  largest("gradients", &MemoryRow::gradients);
  largest("optimizer_state", &MemoryRow::optimizer_state);
  largest("codec_state", &MemoryRow::codec_state);
  largest("activations", &MemoryRow::activations);
  largest("communication_buffers", &MemoryRow::communication_buffers);
}

/// Repetitions inside one process stand for blocks of one run, whose value is their median. Rates end in "/s"
/// and want to be high.
void add_benchmarks(std::vector<MetricValue>& metrics, const RunRecord& run) {
  std::map<std::string, MetricValue> by_name;
  for (const auto& row : run.benchmarks) {
    auto& metric = by_name[row.name + (row.parameters.empty() ? "" : " " + row.parameters)];
    metric.unit = row.unit;
    metric.blocks.push_back(row.value);
  }
  for (auto& [name, metric] : by_name) {
    metric.name = name;
    metric.gated = true;
    metric.direction = metric.unit.ends_with("/s") ? Direction::higher_is_better : Direction::lower_is_better;
    metric.value = median(metric.blocks);
    metric.interval = median_interval(metric.blocks);
    metrics.push_back(metric);
  }
}

}  // namespace

std::vector<MetricValue> metrics_of(const RunRecord& run) {
  std::vector<MetricValue> metrics;
  add_steps(metrics, run.steps);
  add_phases(metrics, run.steps);
  add_quality(metrics, run);
  add_latency(metrics, run);
  add_figures(metrics, run);
  add_traffic(metrics, run);
  add_memory(metrics, run);
  add_benchmarks(metrics, run);
  return metrics;
}

}  // namespace partita::results
