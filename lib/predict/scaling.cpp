/// One prediction a number of ranks, as deep as it has to be.
#include "partita/predict/scaling.hpp"

namespace partita::predict {

std::vector<Subject> scaled_subjects(const config::RunOptions& run, const machine::Machine& machine,
                                     const collective::AlgorithmTable& table, int first, int last) {
  std::vector<Subject> subjects;
  for (std::int64_t ranks = first; ranks <= last; ranks *= 2) {
    auto options = run;
    options.strategy = config::Strategy::none;
    options.data_ranks.reset();
    if (!config::fit_to_world(options, static_cast<int>(ranks)).empty()) continue;
    if (options.train.batch < options.grid.data - options.server.count) break;
    std::vector<base::Violation> violations;
    auto split = config::split_for_training(options, machine, violations);
    if (split && violations.empty())
      subjects.push_back(subject_of(options, std::move(*split), machine, table));
  }
  return subjects;
}

std::vector<ScalingRow> scaling_of(const config::RunOptions& run, const Supposed& supposed,
                                   const collective::AlgorithmTable& table, int first, int last) {
  std::vector<ScalingRow> rows;
  for (const auto& subject : scaled_subjects(run, supposed.machine, table, first, last)) {
    const auto batch = subject.split.batch;
    const auto ranks = subject.split.plan.grid.size();
    const auto prediction = predict(subject, supposed, batch, 3, sim::Depth::automatic);
    const double step = prediction.step_seconds(), rate = static_cast<double>(batch) / step;
    const double of_rank = rate / static_cast<double>(ranks);
    const double of_first =
        rows.empty() ? of_rank : rows.front().samples_per_second / static_cast<double>(rows.front().ranks);
    rows.push_back({.ranks = static_cast<int>(ranks),
                    .batch = batch,
                    .step_seconds = step,
                    .samples_per_second = rate,
                    .efficiency = of_rank / of_first,
                    .depth = prediction.simulation.depth,
                    .left_out = prediction.simulation.left_out,
                    .ranks_share_cores = prediction.ranks_share_cores});
  }
  return rows;
}

}  // namespace partita::predict
