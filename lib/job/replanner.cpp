/// Brings medians of all ranks together after each epoch, sets them beside what was expected, and has a
/// search asked again where they differ.
#include "replanner.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <tuple>

#include "partita/results/statistics.hpp"

namespace partita::job {
namespace {

/// The median of what this rank takes for the samples of a full batch: of up to twenty steps behind the first
/// five, or, where there are fewer, of all.
double seconds_of_samples(const run::Training& training, std::size_t first, std::int64_t batch) {
  std::vector<double> seconds;
  for (auto i = first; i < training.steps().size(); ++i) {
    const auto& s = training.steps()[i].spans;
    if (training.steps()[i].samples == batch) seconds.push_back(s.load + s.forward + s.backward);
  }
  constexpr std::ptrdiff_t cold = 5, most = 20;
  if (std::ssize(seconds) > cold) seconds.erase(seconds.begin(), seconds.begin() + cold);
  if (std::ssize(seconds) > most) seconds.resize(most);
  return seconds.empty() ? 0 : results::median(seconds);
}

/// Medians of this rank's steps from `first` on that have a full batch, by the rank's number among all: twice
/// as many numbers as there are ranks, seconds first. The first step of a plan finds caches cold and is left
/// out where others follow.
std::vector<double> medians_of(const run::Training& training, std::size_t first, std::int64_t batch,
                               const comm::Communicator& world) {
  const auto& steps = training.steps();
  std::vector<double> seconds, busy;
  for (std::size_t i = std::min(std::max<std::size_t>(first, 1), steps.size() - 1); i < steps.size(); ++i) {
    if (steps[i].samples < batch) continue;
    const auto& s = steps[i].spans;
    seconds.push_back(steps[i].seconds);
    busy.push_back(s.load + s.forward + s.backward + s.update + s.other);
  }
  const auto ranks = static_cast<std::size_t>(world.size()), me = static_cast<std::size_t>(world.rank());
  std::vector<double> numbers(2 * ranks, 0);
  if (seconds.empty()) return numbers;
  numbers[me] = results::median(seconds);
  numbers[ranks + me] = results::median(busy);
  return numbers;
}

/// "12 batch+3 column"; words that are empty are left out.
std::string in_runs(const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, int>> runs;
  for (const auto& word : words) {
    if (word.empty()) continue;
    if (runs.empty() || runs.back().first != word) runs.emplace_back(word, 0);
    ++runs.back().second;
  }
  std::string text;
  for (const auto& [word, layers] : runs)
    text += (text.empty() ? "" : "+") + std::to_string(layers) + ' ' + word;
  return text;
}

}  // namespace

std::string name_of(const plan::Split& split) {
  const auto& [grid, pipeline, cut] = std::tie(split.plan.grid, split.plan.pipeline, split.plan.partition);
  auto text = predict::Candidate{.grid = grid, .pipeline = pipeline}.name();
  if (grid.tensor > 1) text += ", placed " + in_runs(plan::words_of(split.model, split.plan.placement));
  for (std::size_t r = 0; r < split.plan.weights.size(); ++r)
    text += (r == 0 ? ", weights " : "+") + std::to_string(split.plan.weights[r]);
  if (grid.pipeline == 1) return text;
  for (std::size_t k = 0; k + 1 < cut.size(); ++k)
    text += (k == 0 ? ", chunks of " : "+") + std::to_string(cut[k + 1] - cut[k]);
  return text + " layers";
}

std::vector<base::Violation> check_replanning(const Input& input) {
  const auto& options = input.options;
  std::vector<base::Violation> violations;
  const auto refuse = [&](const std::string& why) {
    violations.push_back(
        options.automatic.replan
            ? base::Violation{"auto.replan", "true", why + "; the nearest is false"}
            : base::Violation{"grid.weights", "measured", why + "; the nearest is without it"});
  };
  if (!options.automatic.replan && !options.measures_weights) return {};
  if (options.automatic.replan && !config::has_usual_steps(options))
    refuse(
        "excludes sync.delay, sync.local.period and server.count: another split takes steps that are all "
        "alike");
  if (options.automatic.replan && options.sync.secure)
    refuse("excludes sync.secure: another split may have fewer than 3 data ranks");
  if (options.automatic.replan && options.train.batch_per_rank)
    refuse("excludes train.batch-per-rank: on another grid it would be another batch; give train.batch");
  if (input.writes() && config::checkpoint_dir(options).empty())
    refuse(
        "needs checkpoint.dir, or an output beside which the checkpoints lie, to go on from with another "
        "split");
  if (options.automatic.replan && input.data &&
      options.train.steps_on(input.data->train.samples) <=
          options.train.steps_of_epoch(input.data->train.samples))
    refuse("needs a second epoch: the split is changed after an epoch that others follow");
  return violations;
}

Replanner::Replanner(const Job& job) : job_(job), split_(*job.input.split) {}

double Replanner::predicted_seconds() const {
  const auto& input = job_.input;
  return predict::predict(predict::subject_of(input.options, split_, input.machine, input.table),
                          {.machine = input.machine, .speed = {}}, split_.batch, 3, sim::Depth::automatic)
      .step_seconds();
}

void Replanner::observe(const run::Training& training) {
  if (!is_asked()) return;
  auto& world = job_.world;
  const auto full = std::min(job_.input.options.train.batch, job_.input.data->train.samples.value());
  if (job_.input.options.measures_weights) observe_data_ranks(training, full);
  auto numbers = medians_of(training, std::exchange(seen_, training.steps().size()), full, world);
  world.all_reduce(std::span(numbers), comm::Combine::sum, collective::Purpose::metric);
  const auto ranks = numbers.begin() + world.size();
  measured_ = {.seconds = *std::max_element(numbers.begin(), ranks), .busy_seconds = {ranks, numbers.end()}};
  if (!rows_.empty() && std::isnan(rows_.back().after_measured_seconds))
    rows_.back().after_measured_seconds = measured_.seconds;
}

/// A data rank takes as long as the slowest of its ranks.
void Replanner::observe_data_ranks(const run::Training& training, std::int64_t batch) {
  const auto& grid = split_.plan.grid;
  const auto data = static_cast<std::size_t>(topology::coordinate_of(grid, job_.world.rank()).data);
  seconds_of_data_ranks_.assign(static_cast<std::size_t>(grid.data), 0);
  seconds_of_data_ranks_[data] = seconds_of_samples(training, seen_, batch);
  job_.world.all_reduce(std::span(seconds_of_data_ranks_), comm::Combine::max, collective::Purpose::metric);
  samples_of_data_ranks_.assign(seconds_of_data_ranks_.size(), 0);
  for (int rank = 0; rank < grid.data; ++rank)
    for (const auto j : training.program().microbatch_ids())
      samples_of_data_ranks_[static_cast<std::size_t>(rank)] +=
          training.program().microbatch(j, rank, batch).size();
}

/// Weights with which all data ranks would take as long, if that is shorter by more than a twentieth. One
/// that had no samples counts as fast as the others are on average.
std::optional<std::pair<plan::Split, double>> Replanner::balanced() const {
  std::vector<double> speed;
  double sum = 0, known = 0, now = 0;
  std::int64_t batch = 0;
  for (std::size_t r = 0; r < seconds_of_data_ranks_.size(); ++r) {
    const double seconds = seconds_of_data_ranks_[r];
    const auto samples = samples_of_data_ranks_[r];
    speed.push_back(seconds > 0 && samples > 0 ? static_cast<double>(samples) / seconds : 0);
    sum += speed.back(), known += speed.back() > 0 ? 1 : 0, now = std::max(now, seconds), batch += samples;
  }
  if (known == 0) return {};
  for (auto& one : speed)
    if (one == 0) one = sum / known;
  const double fastest = *std::ranges::max_element(speed);
  const double then = static_cast<double>(batch) / std::accumulate(speed.begin(), speed.end(), 0.0);
  constexpr double worth_it = 0.05, finest = 1000;
  if (then > (1 - worth_it) * now) return {};
  auto options = job_.input.options;
  options.strategy = config::Strategy::none;
  options.weights.clear();
  for (const double one : speed)
    options.weights.push_back(std::max(1.0, std::round(finest * one / fastest)));
  options.measures_weights = false;
  std::vector<base::Violation> violations;
  auto split = config::split_for_training(options, job_.input.machine, violations);
  if (!split || !violations.empty()) return {};
  if (!config::check_secure_batches(options, job_.input.data->train.samples).empty()) return {};
  return std::pair(std::move(*split), measured_.seconds - now + then);
}

bool Replanner::leaves_for_weights(const run::Training& training) {
  better_ = balanced();
  if (!are_agreed(better_ ? name_of(better_->first) : "")) better_.reset();
  if (!better_) return false;
  rows_.push_back({.step = training.progress().step,
                   .before = name_of(split_),
                   .after = name_of(better_->first),
                   .expected_seconds = measured_.seconds,
                   .measured_seconds = measured_.seconds,
                   .before_predicted_seconds = measured_.seconds,
                   .after_predicted_seconds = better_->second});
  if (job_.world.rank() == 0)
    job_.messages << "from step " << rows_.back().step << " on: a step took " << measured_.seconds * 1e3
                  << " ms; with " << rows_.back().after << " it is to take " << better_->second * 1e3 << " ms"
                  << std::endl;
  return true;
}

std::optional<std::pair<plan::Split, double>> Replanner::first_possible(const predict::Replan& replan) const {
  const auto& input = job_.input;
  for (const auto& outcome : replan.better) {
    const auto options = predict::with(input.unsplit(), outcome.candidate);
    std::vector<base::Violation> violations;
    auto split = config::split_for_training(options, input.machine, violations, {.speed = replan.speed});
    if (!split || name_of(*split) == name_of(split_)) continue;
    if (split_.plan.keeps_residuals() && !split->plan.keeps_residuals()) continue;  // they would be lost
    for (const auto& more : {config::check_nodes(options, *split, job_.world.nodes()),
                             config::check_statistics(options, input.data->train.samples)})
      violations.insert(violations.end(), more.begin(), more.end());
    if (violations.empty()) return std::pair(std::move(*split), *outcome.step_seconds);
  }
  return {};
}

bool Replanner::are_agreed(const std::string& decision) const {
  // Exact in a double.
  const auto hash = static_cast<double>(std::hash<std::string>()(decision) >> 12U);
  std::array<double, 2> extremes{hash, -hash};
  job_.world.all_reduce(std::span<double>(extremes), comm::Combine::max, collective::Purpose::control);
  return extremes[0] == -extremes[1];
}

bool Replanner::leaves(const run::Training& training) {
  const auto& input = job_.input;
  if (!is_asked() || measured_.seconds == 0) return false;
  if (input.options.measures_weights) return leaves_for_weights(training);
  if (!expected_) expected_ = predicted_seconds();
  const bool departs =
      predict::departs(measured_.seconds, *expected_, input.options.automatic.replan_threshold);
  if (!are_agreed(departs ? "departs" : "") || !departs) return false;
  const auto replan = predict::replan(input.unsplit(), split_, measured_, input.machine, input.table);
  better_ = first_possible(replan);
  if (!are_agreed(better_ ? name_of(better_->first) : "")) better_.reset();
  rows_.push_back({.step = training.progress().step,
                   .before = name_of(split_),
                   .after = name_of(split_),
                   .expected_seconds = *expected_,
                   .measured_seconds = measured_.seconds,
                   .before_predicted_seconds = replan.current_seconds,
                   .after_predicted_seconds = replan.current_seconds});
  expected_ = measured_.seconds;  // a plan that stays is known now
  tell(replan);
  return better_.has_value();
}

const plan::Split& Replanner::move() {
  auto& [split, seconds] = *better_;
  rows_.back().after = name_of(split);
  rows_.back().after_predicted_seconds = seconds;
  expected_ = seconds;
  seen_ = 0;
  return split_ = std::move(split);
}

void Replanner::tell(const predict::Replan& replan) const {
  if (job_.world.rank() != 0) return;
  const auto& row = rows_.back();
  const auto [slowest, fastest] =
      std::ranges::minmax_element(replan.speed, {}, [](const auto& of_rank) { return of_rank.second; });
  auto& out = job_.messages;
  out << "from step " << row.step << " on: a step took " << row.measured_seconds * 1e3
      << " ms, expected were " << row.expected_seconds * 1e3 << " ms";
  if (!replan.speed.empty())
    out << "; ranks are " << slowest->second << " (rank " << slowest->first << ") to " << fastest->second
        << " (rank " << fastest->first << ") as fast as the machine says";
  out << "; predicted for such ranks: " << row.before_predicted_seconds * 1e3 << " ms with " << row.before;
  if (better_)
    out << ", " << better_->second * 1e3 << " ms with " << name_of(better_->first) << ", which is to go on";
  else
    out << ", which stays: no other is worth a move";
  out << std::endl;
}

}  // namespace partita::job
