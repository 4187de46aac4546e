/// Visits to networks, and what comes out of them.
#include "kernels.hpp"

#include <algorithm>
#include <cmath>

#include "partita/calibrate/rows.hpp"
#include "partita/machine/machine.hpp"
#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

constexpr int reference_steps = 7;
/// The fixed product takes so much longer after a visit than before, or the other way round, that something
/// else came or went; or so much longer than it ever did, that others have a part of the core. What is
/// interrupted is not slowed as a whole, so that no more than this is divided out.
constexpr double most_change = 1.1, most_drift = 1.5;
constexpr int least_steps = 3, most_steps = 24;

double quartile_range(std::span<const double> seconds) {
  return results::percentile(seconds, 75) - results::percentile(seconds, 25);
}

bool has_kernel(const machine::KernelKey& key) { return !key.kernel.empty(); }

}  // namespace

std::vector<machine::KernelTime> times_of(const Durations& durations,
                                          const std::function<bool(int network)>& counts) {
  std::vector<machine::KernelTime> times;
  for (const auto& [key, all] : durations) {
    std::vector<double> seconds;
    for (const auto& duration : all)
      if (counts(duration.network)) seconds.push_back(duration.seconds);
    if (!seconds.empty()) times.push_back(time_of(key, seconds));
  }
  return times;
}

std::vector<machine::KernelTime> times_of(const Durations& durations) {
  return times_of(durations, [](int) { return true; });
}

KernelCampaign::KernelCampaign(comm::Communicator& group, comm::Communicator& self, kernels::Backend& backend,
                               Samples& samples, const KernelOptions& options)
    : group_(group),
      self_(self),
      backend_(backend),
      samples_(samples),
      options_(options),
      reference_samples_(1 << 20),
      reference_(reference_network(), backend, self, reference_samples_) {}

/// Of one product, the longest instruction of its step; the fastest of a few, which no interrupt hit.
double KernelCampaign::time_reference() {
  double fastest = INFINITY;
  for (int step = 0; step < reference_steps; ++step) {
    const auto times = reference_.step().instructions;
    fastest = std::min(fastest, *std::max_element(times.begin(), times.end()));
  }
  return fastest;
}

int KernelCampaign::index_of(const Trainee::Kernel& kernel) {
  const auto [found, is_new] = index_of_.try_emplace(kernel.key, static_cast<int>(flops_.size()));
  if (is_new) flops_.push_back(kernel.flops);
  return found->second;
}

bool KernelCampaign::visit(int network, bool last_try) {
  const auto& trained = networks_[static_cast<std::size_t>(network)];
  Trainee trainee(trained.network, backend_, trained.network.grid.size() > 1 ? group_ : self_, samples_);
  const auto kernels = trainee.kernels(trained.execution, options_.caches, options_.slowdowns);
  trainee.step();
  const double step_seconds = most(group_, trainee.step().seconds);
  const int steps = std::clamp(static_cast<int>(options_.network_seconds / std::max(step_seconds, 1e-6)),
                               least_steps, most_steps);
  Visit visit{.network = network};
  group_.barrier();
  visit.reference = time_reference();
  trainee.step();  // its data are in the caches again
  for (int i = 0; i < steps; ++i) {
    const auto step = trainee.step();
    double explained = 0;
    for (std::size_t k = 0; k < kernels.size(); ++k) {
      explained += step.instructions[k];
      if (has_kernel(kernels[k].key))
        visit.kernels.push_back(
            {index_of(kernels[k]), {network, step.instructions[k] / kernels[k].slowdown}});
    }
    visit.steps.push_back(step.seconds);
    overheads_.push_back(step.seconds - explained);
  }
  const double after = time_reference();
  fastest_reference_ = std::min({fastest_reference_, visit.reference, after});
  const double change = std::max(after / visit.reference, visit.reference / after);
  visit.reference = (visit.reference + after) / 2;
  const bool disturbed = change > most_change || visit.reference > most_drift * fastest_reference_;
  if (most(group_, disturbed ? 1 : 0) > 0 && !last_try) return false;
  visits_.push_back(std::move(visit));
  return true;
}

double KernelCampaign::median_reference() const {
  std::vector<double> seconds;
  for (const auto& visit : visits_)
    seconds.push_back(visit.reference);
  return results::median(seconds);
}

/// By which the times of a visit are multiplied.
double KernelCampaign::correction(const Visit& visit) const {
  return std::clamp(median_reference() / visit.reference, 1 / most_drift, most_drift);
}

void KernelCampaign::summarize() {
  std::vector<std::vector<double>> steps(networks_.size());
  for (const auto& visit : visits_)
    for (const double by = correction(visit); const double seconds : visit.steps)
      steps[static_cast<std::size_t>(visit.network)].push_back(seconds * by);
  for (std::size_t n = 0; n < networks_.size(); ++n) {
    networks_[n].median_step_seconds = results::median(steps[n]);
    networks_[n].spread = quartile_range(steps[n]) / networks_[n].median_step_seconds;
    networks_[n].steps = static_cast<std::int64_t>(steps[n].size());
  }
}

void KernelCampaign::draw(std::uint32_t index) {
  auto network = draw_network(options_.seed, index, group_.size(), options_.limits);
  auto execution = options_.execution;
  execution.optimizer = to_string(network.optimizer);
  networks_.push_back({.network = std::move(network), .execution = execution});
}

void KernelCampaign::run(double seconds) {
  const Budget budget(seconds);
  const auto go_on = [&](double share, int least) {
    const bool more = static_cast<int>(networks_.size()) < least || budget.share_spent() < share;
    return most(group_, more ? 1 : 0) > 0;
  };
  while (go_on(0.7, options_.least_networks)) {
    const auto index = static_cast<std::uint32_t>(networks_.size());
    draw(index);
    for (int tries = 1; !visit(static_cast<int>(index), tries == options_.most_tries); ++tries)
      ++repeated_;
  }
  int repeats = 0;
  for (summarize(); repeats < options_.least_repeats || go_on(1, 0); summarize(), ++repeats) {
    const auto widest = std::max_element(networks_.begin(), networks_.end(),
                                         [](const auto& a, const auto& b) { return a.spread < b.spread; });
    const bool is_narrow = most(group_, widest->spread) <= options_.narrow;
    if (is_narrow && repeats >= options_.least_repeats) break;
    const bool leads = group_.rank() == 0;
    const auto again =
        static_cast<int>(most(group_, leads ? static_cast<double>(widest - networks_.begin()) : 0));
    if (!visit(again, false)) ++repeated_;
  }
}

Durations KernelCampaign::gather() {
  std::vector<Kernel> mine;
  for (const auto& visit : visits_)
    for (const double by = correction(visit); auto kernel : visit.kernels) {
      kernel.duration.seconds *= by;
      mine.push_back(kernel);
    }
  const auto keys = gather_keys();
  const auto rows = group_.gather_rows(mine, 0, collective::Purpose::control);
  Durations durations;
  std::map<std::pair<int, machine::KernelKey>, std::map<std::size_t, std::vector<double>>> by_rank;
  for (std::size_t rank = 0; rank < rows.size(); ++rank)
    for (const auto& row : rows[rank]) {
      const auto& key = keys[rank][static_cast<std::size_t>(row.key)];
      durations[key].push_back(row.duration);
      by_rank[{row.duration.network, key}][rank].push_back(row.duration.seconds);
    }
  for (const auto& [kernel, ranks] : by_rank) {
    std::vector<double> medians;
    for (const auto& [rank, seconds] : ranks)
      medians.push_back(results::median(seconds));
    if (medians.size() > 1) between_ranks_.add(log_variance(medians), medians.front());
  }
  return durations;
}

machine::Variance KernelCampaign::variance() const {
  Pooled within_run, between_runs;
  std::vector<std::vector<double>> medians_of(networks_.size());
  for (const auto& visit : visits_) {
    const auto of_step = visit.kernels.size() / visit.steps.size();
    std::vector<double> together(visit.steps.size());  // all kernels of a step
    for (std::size_t at = 0; at < visit.kernels.size(); ++at)
      together[at / of_step] += visit.kernels[at].duration.seconds;
    medians_of[static_cast<std::size_t>(visit.network)].push_back(results::median(together));
    for (std::size_t k = 0; k < of_step; ++k) {
      std::vector<double> seconds;
      for (std::size_t at = k; at < visit.kernels.size(); at += of_step)
        seconds.push_back(visit.kernels[at].duration.seconds);
      within_run.add(robust_log_variance(seconds), results::median(seconds));
    }
  }
  between_runs.add(robust_log_variance_within(medians_of), 1);
  return {.within_run = within_run.deviation(),
          .between_runs = between_runs.deviation(),
          .between_ranks = between_ranks_.deviation()};
}

/// Of all ranks, on rank 0: shares of a layer differ by rank. They travel as the lines of a machine file.
std::vector<std::vector<machine::KernelKey>> KernelCampaign::gather_keys() {
  auto carrier = machine::Machine::shipped();
  carrier.caches = options_.caches;
  carrier.kernels.resize(index_of_.size());
  for (const auto& [key, index] : index_of_)
    carrier.kernels[static_cast<std::size_t>(index)] = {
        .key = key, .runs = 1, .median_seconds = 1, .lower_quartile_seconds = 1, .upper_quartile_seconds = 1};
  std::vector<std::vector<machine::KernelKey>> keys;
  for (const auto& text : group_.gather_text(carrier.to_text(), 0, collective::Purpose::control)) {
    std::vector<base::Violation> violations;
    keys.emplace_back();
    for (const auto& row : machine::Machine::parse(text, violations).kernels)
      keys.back().push_back(row.key);
    base::expect(violations.empty(), "keys of kernels are read as they are written", violations.size());
  }
  return keys;
}

KernelCampaign::Products KernelCampaign::products(const std::vector<machine::KernelTime>& times) const {
  Products products{.call_seconds = INFINITY};
  for (const auto& time : times) {
    if (!time.key.kernel.starts_with("linear") && !time.key.kernel.starts_with("conv")) continue;
    const auto own = index_of_.find(time.key);
    if (own == index_of_.end()) continue;  // another rank's share
    const double flops = flops_[static_cast<std::size_t>(own->second)];
    products.flops_per_second = std::max(products.flops_per_second, flops / time.median_seconds);
    products.call_seconds = std::min(products.call_seconds, time.median_seconds);
  }
  return products;
}

std::pair<double, double> KernelCampaign::drift() const {
  const auto [fastest, slowest] = std::minmax_element(
      visits_.begin(), visits_.end(), [](const auto& a, const auto& b) { return a.reference < b.reference; });
  return {fastest->reference / median_reference(), slowest->reference / median_reference()};
}

double KernelCampaign::step_overhead_seconds() const { return results::median(overheads_); }

}  // namespace partita::calibrate
