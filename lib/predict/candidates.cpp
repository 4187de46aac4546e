/// Every grid with every pipeline; then, for each, what its placements and cuts can be besides.
#include "partita/predict/candidates.hpp"

#include <algorithm>
#include <utility>

#include "partita/base/number.hpp"
#include "weights.hpp"

namespace partita::predict {
namespace {

std::vector<int> divisors_of(int n) {
  std::vector<int> all;
  for (int d = 1; d <= n; ++d)
    if (n % d == 0) all.push_back(d);
  return all;
}

/// Numbers of micro-batches worth trying on so many stages: from one to where a micro-batch has one sample,
/// doubling; where the model shares statistics within a micro-batch only the run's own, and in the
/// deterministic mode one for each grain.
std::vector<int> microbatches_of(const config::RunOptions& run, const topology::GridExtent& grid) {
  const auto share = plan::largest_share(grid, run.train.batch);
  const auto& layers = run.model.layers;
  if (run.train.deterministic)
    return {run.pipeline.microbatches.value_or(std::max(1, run.train.grains / grid.data))};
  if (std::ranges::any_of(layers, [](const auto& l) { return l.takes_statistics(); }))
    return {run.pipeline.microbatches.value_or(1)};
  if (grid.pipeline == 1) return {1};
  std::vector<int> all;
  for (std::int64_t m = grid.pipeline; m <= std::min(share, std::int64_t{16} * grid.pipeline); m *= 2)
    all.push_back(static_cast<int>(m));
  if (all.empty()) all.push_back(static_cast<int>(std::max<std::int64_t>(1, share)));
  return all;
}

/// Schedules of a grid with the chunks that they take.
std::vector<step::PipelineOptions> pipelines_of(const config::RunOptions& run,
                                                const topology::GridExtent& grid) {
  std::vector<step::PipelineOptions> all;
  const int layers = static_cast<int>(run.model.layers.size());
  for (const int m : microbatches_of(run, grid)) {
    if (grid.pipeline == 1) {
      all.push_back({.schedule = step::Schedule::one_f_one_b, .microbatches = m});
      continue;
    }
    for (const auto schedule : step::schedules()) {
      const bool several = schedule == step::Schedule::interleaved;
      for (int chunks = several ? 2 : 1; chunks <= (several ? 4 : 1); ++chunks)
        if (grid.pipeline * chunks <= layers)
          all.push_back({.schedule = schedule, .microbatches = m, .chunks = chunks});
    }
  }
  return all;
}

/// Of a model that was made without lines there are none.
void add_to_line(model::ModelText& text, std::size_t layer, const std::string& option) {
  if (layer < text.layers.size()) text.layers[layer] += ' ' + option;
}

/// "3x1000+250": three of a thousand and one of 250.
std::string in_runs(const std::vector<double>& weights) {
  std::string text;
  for (auto first = weights.begin(); first != weights.end();) {
    const auto end = std::find_if(first, weights.end(), [&](double weight) { return weight != *first; });
    if (!text.empty()) text += '+';
    if (end - first > 1) text += std::to_string(end - first) + 'x';
    text += base::shortest(*first);
    first = end;
  }
  return text;
}

}  // namespace

std::string Candidate::name() const {
  std::string text = to_string(grid);
  if (grid.pipeline > 1) text += ", " + std::string(to_string(pipeline.schedule));
  if (pipeline.chunks > 1) text += " with " + std::to_string(pipeline.chunks) + " chunks";
  if (pipeline.microbatches > 1) text += ", " + std::to_string(pipeline.microbatches) + " micro-batches";
  if (split && *split != step::Split::none) text += ", split of " + std::string(to_string(*split));
  if (placement > 1) text += ", placement " + std::to_string(placement);
  for (std::size_t k = 1; k + 1 < cut.size(); ++k)
    text += (k == 1 ? ", cut " : "|") + std::to_string(cut[k]);
  return weights.empty() ? text : text + ", weights " + in_runs(weights);
}

config::RunOptions with(config::RunOptions run, const Candidate& candidate) {
  run.strategy = config::Strategy::none;
  run.grid = candidate.grid;
  run.data_ranks = candidate.grid.data;
  run.pipeline = {.schedule = candidate.pipeline.schedule,
                  .microbatches = candidate.pipeline.microbatches,
                  .chunks = candidate.pipeline.chunks,
                  .warmup = candidate.pipeline.warmup};
  if (candidate.split) run.sync.split = *candidate.split;
  if (!candidate.weights.empty()) run.weights = candidate.weights;
  run.train.accumulate = 1;  // all its micro-batches are said
  for (std::size_t l = 0; l < candidate.words.size(); ++l)
    if (auto& placement = run.model.layers[l].placement; placement.empty() && !candidate.words[l].empty()) {
      placement = candidate.words[l];
      add_to_line(run.model_text, l, "placement=" + placement);
    }
  for (std::size_t k = 0; k + 1 < candidate.cut.size(); ++k)
    for (int l = candidate.cut[k]; l < candidate.cut[k + 1]; ++l) {
      const auto layer = static_cast<std::size_t>(l);
      if (run.model.layers[layer].stage) continue;
      run.model.layers[layer].stage = static_cast<int>(k) % candidate.grid.pipeline;
      add_to_line(run.model_text, layer, "stage=" + std::to_string(*run.model.layers[layer].stage));
    }
  return run;
}

cost::Execution execution_of(const config::RunOptions& run, std::int64_t ranks,
                             const machine::Machine& machine) {
  const int threads = std::max(1, run.threads);
  const bool on_host = run.backend != config::Backend::cuda;
  return {.implementation = to_string(run.backend),
          .optimizer = to_string(run.train.optimizer.rule),
          .threads = threads,
          .active_ranks = static_cast<int>(machine.ranks_at_once(ranks, threads)),
          .crowding = on_host ? machine.crowding(ranks, threads) : 1};
}

Subject subject_of(const config::RunOptions& run, plan::Split split, const machine::Machine& machine,
                   const collective::AlgorithmTable& table) {
  const bool is_double = run.train.precision == config::Precision::fp64;
  const bool channels_last = run.backend == config::Backend::cpu;
  Subject subject{.split = std::move(split),
                  .format = {.type = is_double ? kernels::DataType::float64 : kernels::DataType::float32,
                             .layout = channels_last ? kernels::Layout::nhwc : kernels::Layout::nchw},
                  .optimizer = run.train.optimizer.rule,
                  .site = {.table = table}};
  const auto ranks = subject.split.plan.grid.size();
  subject.execution = execution_of(run, ranks, machine);
  if (machine.levels.size() > 1)
    for (std::int64_t r = 0; r < ranks; ++r)
      subject.site.node_of.push_back(static_cast<int>(r / machine.levels.front().ranks));
  return subject;
}

std::vector<Candidate> candidates_of(const config::RunOptions& run, int ranks, Shares shares) {
  std::vector<Candidate> all;
  const int layers = static_cast<int>(run.model.layers.size());
  for (const int tensor : divisors_of(ranks))
    for (const int pipeline : divisors_of(ranks / tensor)) {
      const topology::GridExtent grid{
          .data = ranks / tensor / pipeline, .pipeline = pipeline, .tensor = tensor};
      if (pipeline > layers || grid.data > run.train.batch) continue;
      for (const auto& options : pipelines_of(run, grid)) {
        all.push_back({.grid = grid, .pipeline = options});
        if (shares == Shares::as_the_run_says || run.sync.split != step::Split::none || grid.data == 1)
          continue;
        for (const auto split : {step::Split::state, step::Split::gradient, step::Split::parameter})
          all.push_back({.grid = grid, .pipeline = options, .split = split});
      }
    }
  return all;
}

const std::vector<std::vector<std::string>>& Splitter::words_for(const Candidate& candidate) {
  const auto [found, is_new] = words_.try_emplace(plane_of(candidate));
  if (is_new)
    for (const auto& placement : plan::placements(run_.model, candidate.grid, run_.train.batch, machine_,
                                                  plan::Outputs::any, choices_))
      found->second.push_back(plan::words_of(run_.model, placement));
  return found->second;
}

std::optional<plan::Split> Splitter::split(const Candidate& candidate,
                                           std::vector<base::Violation>& violations) {
  const std::pair placing(plane_of(candidate), candidate.placement);
  const auto placement = placements_.find(placing);
  const auto cuts = cuts_.find(pipeline_of(candidate));
  config::KnownSplit known{.speed = speed_};
  if (placement != placements_.end()) known.placement = &placement->second;
  if (!candidate.cut.empty())
    known.partition = &candidate.cut;
  else if (cuts != cuts_.end() && candidate.weights.empty())
    known.partition = &cuts->second.front();
  auto split = config::split_for_training(with(run_, candidate), machine_, violations, known);
  if (!split || !violations.empty()) return std::nullopt;
  placements_.try_emplace(placing, split->plan.placement);
  if (known.partition == nullptr && candidate.weights.empty())
    cuts_.emplace(pipeline_of(candidate), plan::partitions_of(*split, speed_, machine_, choices_));
  return split;
}

std::vector<Candidate> Splitter::variants_of(const Candidate& candidate) {
  std::vector<base::Violation> violations;
  if (!split(candidate, violations)) return {candidate};
  std::vector<Candidate> all{candidate};
  const auto& words = words_for(candidate);
  for (std::size_t placement = 1; placement < words.size(); ++placement) {
    all.push_back(candidate);
    all.back().placement = static_cast<int>(placement) + 1;
    all.back().words = words[placement];
  }
  const auto& cuts = cuts_.at(pipeline_of(candidate));
  for (std::size_t cut = 1; cut < cuts.size(); ++cut) {
    all.push_back(candidate);
    all.back().cut = cuts[cut];
  }
  for (std::size_t even = 0, variants = all.size(); even < variants; ++even)
    if (auto weights = weights_for(all[even]); !weights.empty()) {
      all.push_back(all[even]);
      all.back().weights = std::move(weights);
    }
  return all;
}

std::vector<double> Splitter::weights_for(const Candidate& candidate) {
  const bool is_free =
      run_.weights.empty() && !run_.measures_weights && !run_.train.deterministic && run_.server.count == 0;
  if (!is_free || candidate.grid.data == 1 || !ranks_differ(candidate.grid, machine_, speed_)) return {};
  std::vector<base::Violation> violations;
  auto split = this->split(candidate, violations);
  if (!split) return {};
  const auto subject = subject_of(run_, std::move(*split), machine_, collective::AlgorithmTable::shipped());
  if (!kernels_) kernels_.emplace(machine_, subject.execution, candidate.grid.size());
  return balanced_weights(subject, machine_, speed_, *kernels_);
}

}  // namespace partita::predict
