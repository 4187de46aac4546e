/// Fills in what only a training has: steps and epochs, traffic from before a restart, the timeline, and the
/// figures of merit.
#include "run_record.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "partita/results/statistics.hpp"
#include "partita/step/traffic.hpp"

namespace partita::job {
namespace {

results::PhaseSeconds phases_of(const run::PhaseSeconds& p) {
  return {p.load, p.forward, p.backward, p.update, p.exposed_transfer, p.dependency, p.straggler, p.other};
}

std::vector<results::ReductionRow> reductions_of(const run::Training& training) {
  std::vector<results::ReductionRow> rows;
  for (const auto* reduction : training.executor().reductions()) {
    const auto& d = reduction->description();
    rows.push_back({.purpose = d.purpose,
                    .payload = bytes_of(d.type, d.elements),
                    .algorithm = std::string(to_string(d.algorithm)),
                    .in_window = d.in_window});
  }
  return rows;
}

auto place_of(const collective::TrafficRow& row) { return std::tuple(row.rank, row.key); }
auto place_of(const collective::PeerRow& row) {
  return std::tuple(row.rank, row.activity, row.axis, row.counts.peer);
}

/// Both, the counts of rows of the same place added up.
template <class Row>
void add_rows(std::vector<Row>& rows, const std::vector<Row>& more) {
  std::map<decltype(place_of(rows[0])), std::size_t> at;
  for (std::size_t i = 0; i < rows.size(); ++i)
    at[place_of(rows[i])] = i;
  for (const auto& row : more)
    if (const auto found = at.find(place_of(row)); found != at.end())
      rows[found->second].counts += row.counts;
    else
      rows.push_back(row);
}

}  // namespace

results::RunRecord begin_record(const Job& job, const run::Training& training, kernels::Backend& backend,
                                int threads) {
  const auto& options = job.input.options;
  auto record = begin_record(job, backend, threads);
  record.reductions = reductions_of(training);
  record.attributes.algorithm = gradient_algorithms(record.reductions, training.program().compression.codec);
  record.attributes.load_model_hash = options.load_model_hash;
  return record;
}

void update_record(results::RunRecord& record, comm::Communicator& world, run::Training& training,
                   std::size_t first_step, const Exchanged& earlier) {
  const auto programs = world.rank() == 0 ? training.roles().by_rank : step::ProgramsByRank();
  for (const auto& step :
       run::gather_steps(world, programs, training.steps(), world.measure_clocks(), first_step)) {
    std::vector<results::PhaseSeconds> phases;
    for (const auto& p : step.phases)
      phases.push_back(phases_of(p));
    record.steps.append({.loss = step.loss,
                         .samples = step.samples,
                         .seconds = step.seconds,
                         .learning_rate = step.learning_rate,
                         .gradient_norm = step.gradient_norm,
                         .is_synchronised = is_synchronised(training.program().cadence, step.ends_stretch),
                         .phases = phases,
                         .rank_seconds = step.rank_seconds});
  }
  training.release_spans();
  update_costs(record, world, training.program(), training.executor());
  if (world.rank() == 0) {
    add_rows(record.traffic, earlier.traffic);
    add_rows(record.peers, earlier.peers);
  }
  record.epochs.clear();
  for (const auto& epoch : training.epochs())
    record.epochs.push_back({.epoch = epoch.epoch,
                             .train_loss = epoch.train_loss,
                             .test_loss = epoch.test_loss.value_or(results::not_measured),
                             .test_accuracy = epoch.test_accuracy.value_or(results::not_measured),
                             .seconds = epoch.seconds,
                             .samples_per_second = epoch.samples_per_second,
                             .learning_rate = epoch.learning_rate});
}

run::EpochRow epoch_row(const results::EpochRow& row) {
  const auto measured = [](double value) { return std::isnan(value) ? std::nullopt : std::optional(value); };
  return {.epoch = row.epoch,
          .train_loss = row.train_loss,
          .test_loss = measured(row.test_loss),
          .test_accuracy = measured(row.test_accuracy),
          .seconds = row.seconds,
          .samples_per_second = row.samples_per_second,
          .learning_rate = row.learning_rate};
}

namespace {

/// How much of the communication a step hides; how much of the ranks' time is spent on communication that it
/// does not hide; and how much of that is the bubble, waiting for another stage. The first five steps are
/// left out of the latter two.
void add_anatomy(const results::RunRecord& record, std::vector<results::Figure>& figures) {
  double hidden = 0, exposed = 0;
  for (const auto& row : record.traffic) {
    if (row.key.activity != collective::Activity::train) continue;
    hidden += row.counts.hidden_seconds;
    exposed += row.counts.exposed_seconds;
  }
  if (hidden + exposed > 0) figures.push_back({"overlap", hidden / (hidden + exposed), "1"});
  double idle = 0, bubble = 0, total = 0;
  const auto ranks = static_cast<std::size_t>(record.steps.ranks);
  for (std::size_t i = 5; i < record.steps.count(); ++i)
    for (std::size_t r = 0; r < ranks; ++r) {
      total += record.steps.rank_seconds[i * ranks + r];
      bubble += record.steps.at(results::Phase::dependency, i, r);
      for (const auto phase :
           {results::Phase::dependency, results::Phase::straggler, results::Phase::exposed_transfer})
        idle += record.steps.at(phase, i, r);
    }
  if (total <= 0 || ranks == 1) return;
  figures.push_back({"idle_fraction", idle / total, "1"});
  if (record.attributes.grid.pipeline > 1) figures.push_back({"bubble_fraction", bubble / total, "1"});
}

/// What codes of gradients take of a step, and save; of rank 0. Beside a network that carries fewer bytes a
/// second than `break_even_bandwidth` a rank they pay for themselves.
void add_codecs(const run::Training& training, std::int64_t batch, std::vector<results::Figure>& figures) {
  const auto& program = training.program();
  if (!program.compression.is_on()) return;
  if (program.compression.is_secure() || program.loss_scale_slot)
    figures.push_back({"lost_steps", static_cast<double>(training.executor().lost_steps()), "1"});
  std::vector<double> encode, decode;
  const auto& steps = training.steps();
  for (std::size_t i = std::min<std::size_t>(5, steps.size()); i < steps.size(); ++i)
    encode.push_back(steps[i].spans.encode), decode.push_back(steps[i].spans.decode);
  if (encode.empty()) return;
  const auto [dense, coded] = step::coded_traffic(program, 0, batch);
  const double encoding = results::median(encode), decoding = results::median(decode);
  figures.push_back({"encode_time", encoding, "s"});
  figures.push_back({"decode_time", decoding, "s"});
  figures.push_back({"dense_bytes", static_cast<double>(dense.value()), "byte"});
  figures.push_back({"coded_bytes", static_cast<double>(coded.value()), "byte"});
  if (encoding + decoding > 0 && coded < dense)
    figures.push_back({"break_even_bandwidth",
                       static_cast<double>((dense - coded).value()) / (encoding + decoding), "byte/s"});
}

}  // namespace

void add_timeline(results::RunRecord& record, comm::Communicator& world, const model::ModelSpec& model,
                  const run::Training& training) {
  const auto clocks = world.measure_clocks();
  const auto spans = run::gather_timeline(world, training, clocks);
  record.timeline.clock_uncertainty_seconds = clocks.uncertainty_seconds;
  double origin = INFINITY;
  for (const auto& span : spans)
    origin = std::min(origin, span.begin_seconds);
  std::int64_t first_flow = 0;  // steps before a restart come first
  double earlier_end = 0;
  for (const auto& row : record.timeline.rows) {
    first_flow = std::max(first_flow, row.flow + 1);
    earlier_end = std::max(earlier_end, row.end_seconds);
  }
  origin -= earlier_end;
  for (const auto& span : spans) {
    auto row =
        timeline_row(span, *training.roles().by_rank[static_cast<std::size_t>(span.rank)], model, origin);
    if (row.flow >= 0) row.flow += first_flow;
    record.timeline.rows.push_back(std::move(row));
  }
}

std::vector<results::Figure> figures_of_merit(const results::RunRecord& record, const run::Training& training,
                                              const Overhead& overhead) {
  std::vector<results::Figure> figures;
  double samples = 0, seconds = 0;
  for (const auto& stretch : record.steps.stretches(5)) {
    samples += static_cast<double>(stretch.samples);
    seconds += stretch.seconds;
  }
  if (seconds > 0) figures.push_back({"throughput", samples / seconds, "samples/s"});
  add_anatomy(record, figures);
  add_codecs(training, record.attributes.batch, figures);
  if (!record.epochs.empty()) {
    figures.push_back({"train_loss", record.epochs.back().train_loss, "1"});
    if (std::isfinite(record.epochs.back().test_loss))
      figures.push_back({"test_loss", record.epochs.back().test_loss, "1"});
    if (std::isfinite(record.epochs.back().test_accuracy))
      figures.push_back({"test_accuracy", record.epochs.back().test_accuracy, "1"});
  }
  double stepped = 0;
  for (const auto& stretch : record.steps.stretches(overhead.first_step))
    stepped += stretch.seconds;
  if (overhead.planning_seconds > 0 && stepped > 0)
    figures.push_back({"planning_overhead", overhead.planning_seconds / stepped, "1"});
  if (overhead.checkpoint_seconds > 0 && stepped > 0)
    figures.push_back({"checkpoint_overhead", overhead.checkpoint_seconds / stepped, "1"});
  if (const auto reached = training.seconds_to_target())
    figures.push_back({"time_to_accuracy", *reached, "s"});
  return figures;
}

}  // namespace partita::job
