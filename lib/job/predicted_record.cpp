/// A predicted run as the result file of a run: what it has of a measured one, and the figures of a
/// prediction.
#include "partita/job/predicted_record.hpp"

#include <algorithm>
#include <numeric>

#include "partita/base/error.hpp"
#include "partita/job/record.hpp"
#include "partita/predict/critical_path.hpp"
#include "partita/run/evaluator.hpp"

namespace partita::job {
namespace {

/// Rows of a file that a prediction of many ranks leaves out: they would repeat what stands there.
constexpr std::int64_t most_rows = 1 << 20;

/// Samples of the steps of an epoch: full batches, and what is left over.
std::int64_t batch_of_step(const Input& input, std::int64_t step) {
  const auto& train = input.options.train;
  const auto samples = input.data->train.samples;
  const auto of_epoch = train.steps_of_epoch(samples);
  const auto rest = samples.value() - (of_epoch - 1) * train.batch;
  return (step + 1) % of_epoch == 0 ? std::min(rest, train.batch) : train.batch;
}

/// Of the latest step of a kind.
results::StepRow row_of(const predict::Prediction& prediction, step::StepKind kind,
                        std::vector<results::PhaseSeconds>& phases, std::vector<double>& seconds) {
  const auto& kinds = prediction.simulation.steady.kinds;
  const auto latest = std::ranges::find(kinds.rbegin(), kinds.rend(), kind);
  base::expect(latest != kinds.rend(), "each kind of a run's steps is predicted", to_string(kind));
  const auto step = static_cast<std::size_t>(kinds.rend() - latest - 1);
  // Where steps of one kind are not equally long (workers drift apart, messages meet): the mean of a period.
  const auto of_period = prediction.simulation.steady.period;
  const bool are_of_kind =
      std::all_of(kinds.end() - of_period, kinds.end(), [&](auto k) { return k == kind; });
  const auto period = are_of_kind ? of_period : 1;
  for (std::size_t r = 0; r < prediction.roles.by_rank.size(); ++r) {
    results::PhaseSeconds mean{};
    double all = 0;
    for (auto s = step + 1 - static_cast<std::size_t>(period); s <= step; ++s) {
      const auto& rank = prediction.simulation.steps[s][r];
      const auto of_step = predict::phases_of(*prediction.roles.by_rank[r], rank);
      for (std::size_t p = 0; p < mean.size(); ++p)
        mean[p] += of_step[p] / static_cast<double>(period);
      all += machine::seconds_of(rank.end - rank.begin);
    }
    phases.push_back(mean);
    seconds.push_back(all / static_cast<double>(period));
  }
  return {.loss = results::not_measured,
          .seconds = *std::max_element(seconds.begin(), seconds.end()),
          .learning_rate = results::not_measured,
          .phases = phases,
          .rank_seconds = seconds};
}

/// Of rank 0, on memory that outlives a step, as a run records them.
std::vector<results::ReductionRow> reductions_of(const predict::Subject& subject,
                                                 const step::Program& program) {
  std::vector<results::ReductionRow> rows;
  for (const auto& t : program.transfers) {
    const bool reduces = t.operation == collective::Operation::all_reduce;
    if (!reduces || program.slots[t.slot].lifetime != step::Lifetime::run) continue;
    const auto [spec, at] = step::resolve(program, t, 0, subject.split.batch, subject.site);
    rows.push_back({.purpose = t.purpose,
                    .payload = bytes_of(spec.type, kernels::Elements(spec.elements)),
                    .algorithm = std::string(to_string(spec.algorithm)),
                    .in_window = at.in_window});
  }
  return rows;
}

/// Of the last step, from its begin on.
std::vector<results::TimelineRow> timeline_of(const predict::Subject& subject,
                                              const predict::Prediction& prediction) {
  const auto& simulated = prediction.simulation.steps;
  const auto step = static_cast<std::int64_t>(simulated.size()) - 1;
  run::TimelineSpans spans(prediction.roles.by_rank);
  for (std::size_t r = 0; r < simulated.back().size(); ++r) {
    const auto& rank = simulated.back()[r];
    spans.append(static_cast<int>(r), step, prediction.batch, prediction.simulation.steady.kinds.back(), -1,
                 [&](std::size_t i) -> execute::InstructionTimes {
                   return {machine::seconds_of(rank.instructions[i].begin),
                           machine::seconds_of(rank.instructions[i].end)};
                 });
  }
  std::vector<results::TimelineRow> rows;
  const auto all = spans.take();
  const auto first = std::ranges::min_element(all, {}, &run::TimelineSpan::begin_seconds);
  const double origin = first == all.end() ? 0 : first->begin_seconds;
  for (const auto& span : all)
    rows.push_back(timeline_row(span, *prediction.roles.by_rank[static_cast<std::size_t>(span.rank)],
                                subject.split.model, origin));
  return rows;
}

results::RunRecord begin_simulated(const Input& input, const std::string& command_line) {
  auto record = begin_record(input, command_line);
  record.attributes.kind = "simulated";
  record.attributes.status = results::Status::complete;
  return record;
}

}  // namespace

std::vector<std::int64_t> batches_of(const Input& input) {
  std::vector<std::int64_t> sizes;
  const auto steps = input.options.train.steps_on(input.data->train.samples);
  const auto of_epoch = input.options.train.steps_of_epoch(input.data->train.samples);
  for (std::int64_t s = 0; s < std::min(steps, of_epoch); ++s)
    if (const auto size = batch_of_step(input, s); std::ranges::find(sizes, size) == sizes.end())
      sizes.push_back(size);
  if (sizes.empty()) sizes.push_back(std::min(input.options.train.batch, input.data->train.samples.value()));
  return sizes;
}

results::RunRecord record_of(const Input& input, const std::string& command_line,
                             const predict::Subject& subject, const machine::Machine& machine,
                             const std::map<std::int64_t, predict::Prediction>& predictions) {
  const auto& grid = subject.split.plan.grid;
  auto record = begin_simulated(input, command_line);
  for (int r = 0; r < grid.size(); ++r)
    record.environment.ranks.push_back(
        {.host = "simulated", .cpu_model = "simulated", .coordinate = topology::coordinate_of(grid, r)});
  const auto steps = input.options.train.steps_on(input.data->train.samples);
  const auto kinds = step::kinds_of_run(subject.split.plan.cadence, steps,
                                        input.options.train.steps_of_epoch(input.data->train.samples));
  predict::StepCounts counts_of_steps;
  for (std::int64_t s = 0; s < std::ssize(kinds); ++s)
    ++counts_of_steps[{batch_of_step(input, s), kinds[static_cast<std::size_t>(s)]}];
  for (std::int64_t s = 0; s < steps && s * grid.size() < most_rows; ++s) {
    const auto batch = batch_of_step(input, s);
    std::vector<results::PhaseSeconds> phases;
    std::vector<double> seconds;
    auto row = row_of(predictions.at(batch), kinds[static_cast<std::size_t>(s)], phases, seconds);
    row.samples = batch;
    const auto kind = kinds[static_cast<std::size_t>(s)];
    const auto of_epoch = input.options.train.steps_of_epoch(input.data->train.samples);
    const auto end = step::next_quiescence(s, of_epoch, input.options.checkpoint.every, steps);
    row.is_synchronised =
        is_synchronised(subject.split.plan.cadence,
                        kind == step::StepKind::asynchronous ? end == s + 1 : kind != step::StepKind::local);
    record.steps.append(row);
  }
  const auto& nominal = predictions.rbegin()->second;
  if (nominal.ranks_share_cores)
    record.environment.entries["predicted_seconds"] = predict::text_of_shared_cores();
  std::vector<int> all_ranks(nominal.roles.by_rank.size());
  std::iota(all_ranks.begin(), all_ranks.end(), 0);
  record.reductions = reductions_of(subject, *nominal.roles.by_rank.front());
  record.attributes.algorithm = gradient_algorithms(record.reductions, subject.split.plan.compression.codec);
  record.memory = predict::memory_of(
      subject, nominal.roles, run::batch_sizes(input.options.train.batch, input.data->train.samples.value()),
      all_ranks);
  record.traffic = predict::traffic_of(subject, nominal.roles, counts_of_steps);
  record.timeline.rows = timeline_of(subject, nominal);
  for (auto& share : predict::critical_path_of(subject, machine, nominal))
    record.critical_path.push_back(
        {std::move(share.resource), std::move(share.layer), machine::seconds_of(share.time)});
  const double step = nominal.step_seconds();
  record.figures = {{"step_time_predicted", step, "s"},
                    {"throughput", static_cast<double>(subject.split.batch) / step, "samples/s"},
                    {"idle_fraction", nominal.idle_fraction(), "1"}};
  if (grid.pipeline > 1) record.figures.push_back({"bubble_fraction", nominal.bubble_fraction(), "1"});
  return record;
}

results::RunRecord record_of(const Input& input, const std::string& command_line,
                             const std::vector<predict::ScalingRow>& rows) {
  auto record = begin_simulated(input, command_line);
  for (const auto& row : rows)
    record.scaling.push_back({row.ranks, row.batch, row.step_seconds, row.samples_per_second});
  return record;
}

}  // namespace partita::job
