/// Step time and what it is made of, waiting, memory, bytes.
#include "print.hpp"

#include <algorithm>
#include <array>
#include <iomanip>
#include <map>
#include <ostream>
#include <sstream>

#include "partita/predict/critical_path.hpp"
#include "partita/results/statistics.hpp"

namespace partita::simulate {

std::string duration(double seconds) {
  static constexpr std::pair<double, const char*> units[] = {
      {1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
  for (const auto& [size, name] : units)
    if (seconds >= size || size == 1e-9) {
      std::ostringstream text;
      text << std::setprecision(4) << seconds / size << ' ' << name;
      return text.str();
    }
  return "";
}

namespace {

using results::Phase;

/// Beyond so many ranks what every rank needs and sends is left to roles.
constexpr std::size_t most_listed_ranks = 4096;

/// Nothing where steps are all alike.
std::string that_is(const predict::Subject& subject, step::StepKind kind) {
  return step::different_kinds(subject.split.plan.cadence).size() < 2
             ? ""
             : " of a step that is " + std::string(to_string(kind));
}

/// Of the ranks whose instructions have spans.
void print_phases(std::ostream& out, const predict::Subject& subject, const predict::Prediction& prediction) {
  const auto& ranks = prediction.simulation.steps.back();
  results::PhaseSeconds mean{};
  double step = 0, count = 0;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (ranks[r].instructions.empty()) continue;
    const auto phases = predict::phases_of(*prediction.roles.by_rank[r], ranks[r]);
    for (std::size_t p = 0; p < phases.size(); ++p)
      mean[p] += phases[p];
    step += machine::seconds_of(ranks[r].end - ranks[r].begin);
    ++count;
  }
  const bool all = count == static_cast<double>(ranks.size());
  out << "\nphases" << that_is(subject, prediction.simulation.steady.kinds.back()) << ", mean over "
      << (all ? "ranks" : "the first data rank of each stage and share") << "\n";
  for (auto& phase : mean)
    phase /= count;
  step /= count;
  for (std::size_t p = 0; p < mean.size(); ++p)
    if (mean[p] > 0)
      out << "  " << std::left << std::setw(18) << to_string(static_cast<Phase>(p)) << std::right
          << std::setw(12) << duration(mean[p]) << std::setw(7) << std::fixed << std::setprecision(1)
          << 100 * mean[p] / step << " %\n"
          << std::defaultfloat;
}

/// Where the machine says which links a message crosses.
void print_busiest_link(std::ostream& out, const sim::Simulation& simulation) {
  const auto busiest = std::ranges::max_element(simulation.links, {}, &sim::LinkUse::busy);
  if (busiest == simulation.links.end()) return;
  const double share = static_cast<double>(busiest->busy) / static_cast<double>(simulation.makespan());
  out << "busiest link: " << busiest->name << ", " << std::setprecision(4) << 100 * share
      << " % of the step, " << busiest->bytes.value() / static_cast<std::int64_t>(simulation.steps.size())
      << " bytes\n";
}

/// What the step hangs on: those names that take most of it, and what is left.
void print_shares(std::ostream& out, const std::vector<predict::PathShare>& shares,
                  std::string predict::PathShare::*name) {
  constexpr std::size_t most_shown = 8;
  const auto all = predict::added_up(shares, name);
  machine::Picoseconds step = 0, shown = 0;
  for (const auto& [of, time] : all)
    step += time;
  const auto line = [&](const std::string& of, machine::Picoseconds time) {
    out << "  " << std::left << std::setw(28) << of << std::right << std::setw(12)
        << duration(machine::seconds_of(time)) << std::setw(7) << std::fixed << std::setprecision(1)
        << 100 * static_cast<double>(time) / static_cast<double>(step) << " %\n"
        << std::defaultfloat;
  };
  for (std::size_t i = 0; i < std::min(most_shown, all.size()); ++i) {
    line(all[i].first, all[i].second);
    shown += all[i].second;
  }
  if (all.size() > most_shown) line(std::to_string(all.size() - most_shown) + " others", step - shown);
}

void print_critical_path(std::ostream& out, const predict::Subject& subject,
                         const predict::Supposed& supposed, const predict::Prediction& prediction) {
  const auto shares = predict::critical_path_of(subject, supposed.machine, prediction);
  if (shares.empty()) return;
  out << "\ncritical path" << that_is(subject, prediction.simulation.steady.kinds.back())
      << ": resource share\n";
  print_shares(out, shares, &predict::PathShare::resource);
  out << "\ncritical path: by layer\n";
  print_shares(out, shares, &predict::PathShare::layer);
}

void print_sensitivities(std::ostream& out, const predict::Subject& subject,
                         const predict::Supposed& supposed, const predict::Prediction& prediction) {
  out << "\none percent better, the step is shorter by\n";
  for (const auto& s :
       predict::sensitivities_of(subject, supposed, prediction.batch, prediction.simulation.depth))
    out << "  " << std::left << std::setw(18) << s.figure << std::right << std::setw(9)
        << std::setprecision(3) << s.percent << " %\n";
}

void print_memory(std::ostream& out, const predict::Subject& subject, const predict::Prediction& prediction) {
  const auto ranks = predict::ranks_that_differ(prediction.roles, prediction.batch);
  const auto rows = predict::memory_of(subject, prediction.roles, std::array{prediction.batch}, ranks);
  const auto most = std::ranges::max_element(rows, {}, &results::MemoryRow::total);
  out << "\nmemory of rank " << ranks[static_cast<std::size_t>(most - rows.begin())]
      << ", which has most: " << most->total() << " bytes (parameters " << most->parameters << ", gradients "
      << most->gradients << ", optimizer state " << most->optimizer_state << ", activations "
      << most->activations << ", inside communication " << most->communication_buffers;
  if (most->codec_state.value() > 0) out << ", codec state " << most->codec_state;
  out << ")\n";
}

/// Where steps differ, the latest of each kind.
void print_kinds(std::ostream& out, const predict::Subject& subject, const sim::Simulation& simulation) {
  const char* separator = "steps   ";
  for (const auto kind : step::different_kinds(subject.split.plan.cadence)) {
    const auto& kinds = simulation.steady.kinds;
    const auto latest = std::ranges::find(kinds.rbegin(), kinds.rend() - 1, kind);
    if (that_is(subject, kind).empty() || latest == kinds.rend() - 1) continue;
    const auto s = static_cast<int>(kinds.rend() - latest) - 1;
    out << std::exchange(separator, ", ") << to_string(kind) << ' '
        << duration(machine::seconds_of(simulation.end_of(s) - simulation.end_of(s - 1)));
  }
  if (separator[0] == ',') out << ", the mean of a period above\n";
}

void print_bytes(std::ostream& out, const predict::Subject& subject, const predict::Prediction& prediction,
                 step::StepKind kind) {
  const auto rows = predict::traffic_of(subject, prediction.roles, {{{prediction.batch, kind}, 1}});
  std::map<std::string, collective::TrafficCounts> by_purpose;
  for (const auto& row : rows)
    by_purpose[std::string(to_string(row.key.axis)) + ' ' + std::string(to_string(row.key.operation)) + ' ' +
               std::string(to_string(row.key.purpose))] += row.counts;
  const auto which = that_is(subject, kind);
  if (!by_purpose.empty())
    out << "\nbytes" << (which.empty() ? " of a step" : which) << ", all ranks together\n";
  for (const auto& [what, counts] : by_purpose)
    out << "  " << what << ": sent " << counts.wire_bytes << ", loaded " << counts.window_bytes_read
        << ", stored " << counts.window_bytes_written << "\n";
}

/// "median 12.1 ms, 95th percentile 12.9 ms".
std::string interval(const std::vector<double>& seconds) {
  return "median " + duration(results::percentile(seconds, 50)) + ", 95th percentile " +
         duration(results::percentile(seconds, 95));
}

/// Of steps whose kernels scatter as those of the machine; empty where nobody says how, or too many ranks
/// would have to be played.
std::string scatter(const predict::Subject& subject, const predict::Supposed& supposed,
                    const predict::Prediction& prediction) {
  const auto& deviation = supposed.machine.variance;
  constexpr std::size_t most_played = 64;
  if (!deviation.is_said() || prediction.roles.by_rank.size() > most_played) return "";
  const auto play = predict::play_for(deviation);
  return " (" +
         interval(predict::noisy_steps(subject, supposed, prediction.batch, {.deviation = deviation},
                                       play.steps, play.runs)) +
         ")";
}

}  // namespace

void print(std::ostream& out, const predict::Subject& subject, const predict::Supposed& supposed,
           const predict::Prediction& prediction, std::int64_t samples_of_epoch) {
  const double step = prediction.step_seconds();
  const double rate = static_cast<double>(prediction.batch) / step;
  out << "model   " << subject.split.model.name << "\ngrid    " << to_string(subject.split.plan.grid)
      << "\nbatch   " << prediction.batch << " samples in " << subject.split.plan.pipeline.microbatches
      << " micro-batches (" << to_string(subject.split.plan.pipeline.schedule) << ")\nstep    "
      << duration(step) << scatter(subject, supposed, prediction) << "\nrate    " << std::setprecision(6)
      << rate << " samples/s\nepoch   " << duration(static_cast<double>(samples_of_epoch) / rate)
      << "\nwaiting " << std::setprecision(4) << 100 * prediction.idle_fraction()
      << " % of the ranks' time, of which for another "
      << (subject.split.plan.cadence.servers.is_on() ? "worker or server " : "stage ")
      << 100 * prediction.bubble_fraction() << " %\n";
  print_kinds(out, subject, prediction.simulation);
  if (!supposed.machine.parts.empty())
    out << "machine ranks " << text_of_parts(supposed.machine, subject.split.plan.grid.size()) << "\n";
  out << "computing time is";
  const auto bases = predict::bases_of(subject, prediction.roles, supposed.machine, prediction.batch);
  for (std::size_t b = 0; b < bases.size(); ++b)
    if (bases[b] > 0)
      out << ' ' << std::setprecision(3) << 100 * bases[b] << " % " << to_string(static_cast<cost::Basis>(b));
  out << "\n";
  print_busiest_link(out, prediction.simulation);
  if (const auto text = predict::text_of(prediction.simulation.left_out); !text.empty()) out << text << "\n";
  if (prediction.ranks_share_cores) out << predict::text_of_shared_cores() << "\n";
  print_phases(out, subject, prediction);
  print_critical_path(out, subject, supposed, prediction);
  if (prediction.roles.by_rank.size() <= most_listed_ranks)
    print_sensitivities(out, subject, supposed, prediction);
  print_memory(out, subject, prediction);
  if (prediction.roles.by_rank.size() <= most_listed_ranks)
    for (const auto kind : step::different_kinds(subject.split.plan.cadence))
      print_bytes(out, subject, prediction, kind);
}

void print_noise(std::ostream& out, const predict::Subject& subject, const predict::Supposed& supposed,
                 std::int64_t batch, const predict::Noise& noise) {
  const auto play = predict::play_for(noise.deviation);
  const auto seconds = predict::noisy_steps(subject, supposed, batch, noise, play.steps, play.runs);
  out << "\nof " << seconds.size() << " steps whose kernels scatter by " << noise.deviation.within_run;
  if (play.runs > 1)
    out << ", those of a rank by " << noise.deviation.between_ranks << " and " << play.runs << " runs by "
        << noise.deviation.between_runs;
  out << ": " << interval(seconds) << "\n";
}

void print_failures(std::ostream& out, const predict::Subject& subject, const machine::Checkpoint& rate,
                    const NodeFailures& of_node, int nodes) {
  constexpr int failures = 100000;
  const auto bytes = predict::checkpoint_bytes(subject);
  const double by_rate = of_node.needs_rate() ? rate.seconds_for(bytes) : 0;
  const predict::Failures of_job{.mtbf_seconds = of_node.mtbf_seconds / nodes,
                                 .checkpoint_seconds = of_node.checkpoint_seconds.value_or(by_rate),
                                 .restart_seconds = of_node.restart_seconds.value_or(by_rate)};
  if (of_node.needs_rate())
    out << "\na checkpoint has " << bytes << " bytes and takes " << duration(by_rate)
        << " by the machine's rate, to write or to read\n";
  out << "\nfailures of " << nodes << (nodes == 1 ? " node" : " nodes") << ", one in "
      << duration(of_job.mtbf_seconds) << "\n";
  for (const auto& [name, interval] : {std::pair("Young's", predict::young_seconds(of_job)),
                                       std::pair("Daly's", predict::daly_seconds(of_job))})
    out << "  a checkpoint each " << duration(interval) << " (" << name
        << " interval): " << std::setprecision(4) << 100 * predict::goodput(of_job, interval, failures, 1)
        << " % of the time is useful\n";
}

void print(std::ostream& out, const std::vector<predict::ScalingRow>& rows) {
  out << std::setw(9) << "ranks" << std::setw(12) << "batch" << std::setw(13) << "step" << std::setw(16)
      << "samples/s" << std::setw(13) << "efficiency"
      << "\n";
  for (const auto& row : rows)
    out << std::setw(9) << row.ranks << std::setw(12) << row.batch << std::setw(13)
        << duration(row.step_seconds) << std::setw(16) << std::setprecision(6) << row.samples_per_second
        << std::setw(12) << std::setprecision(3) << 100 * row.efficiency << " %\n";
  const auto loose = std::ranges::find_if(rows, [](const auto& row) { return row.left_out.any(); });
  if (loose != rows.end())
    out << "From " << loose->ranks << " ranks on " << predict::text_of(loose->left_out) << ".\n";
  const auto shared = std::ranges::find_if(rows, &predict::ScalingRow::ranks_share_cores);
  if (shared != rows.end())
    out << "From " << shared->ranks << " ranks on " << predict::text_of_shared_cores() << ".\n";
  const auto falls = std::ranges::find_if(rows, [](const auto& row) { return row.efficiency < 0.5; });
  if (falls != rows.end()) out << "Efficiency falls below 50 % at " << falls->ranks << " ranks.\n";
}

}  // namespace partita::simulate
