/// One prediction a number of ranks, as deep as it has to be.
#include "partita/predict/scaling.hpp"

namespace partita::predict {

std::vector<ScalingRow> scaling_of(const config::RunOptions& run, const Supposed& supposed,
                                   const collective::AlgorithmTable& table, int first, int last) {
  std::vector<ScalingRow> rows;
  const int others = run.grid.pipeline * run.grid.tensor;
  for (std::int64_t ranks = first; ranks <= last; ranks *= 2) {
    if (ranks % others != 0) continue;
    auto options = run;
    options.strategy = config::Strategy::none;
    options.data_ranks = static_cast<int>(ranks / others);
    options.grid.data = *options.data_ranks;
    if (options.train.batch_per_rank) options.train.batch = *options.train.batch_per_rank * options.grid.data;
    if (options.train.batch < options.grid.data) break;
    std::vector<base::Violation> violations;
    auto split = config::split_for_training(options, supposed.machine, violations);
    if (!split || !violations.empty()) continue;
    const auto subject = subject_of(options, std::move(*split), supposed.machine, table);
    const auto prediction = predict(subject, supposed, options.train.batch, 3, sim::Depth::automatic);
    const double step = prediction.step_seconds(), rate = static_cast<double>(options.train.batch) / step;
    const double of_rank = rate / static_cast<double>(ranks);
    const double of_first =
        rows.empty() ? of_rank : rows.front().samples_per_second / static_cast<double>(rows.front().ranks);
    rows.push_back({.ranks = static_cast<int>(ranks),
                    .batch = options.train.batch,
                    .step_seconds = step,
                    .samples_per_second = rate,
                    .efficiency = of_rank / of_first,
                    .depth = prediction.simulation.depth,
                    .left_out = prediction.simulation.left_out});
  }
  return rows;
}

}  // namespace partita::predict
