/// What ranks and links take by themselves: no step of a split is shorter than what its busiest rank has to
/// do, and its busiest link to carry.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "partita/predict/candidates.hpp"

namespace partita::predict {

/// How much there is to a step: instructions, and rounds of their transfers by `sim::weight_of`.
struct Length {
  std::int64_t instructions = 0, rounds = 0;
};

/// Of the rank of a split that takes longest.
struct RankSeconds {
  double busy = 0;   ///< computes, starts transfers, takes up what they brought: no step is shorter
  double alone = 0;  ///< takes with its transfers were all others early: about what a step takes at least
};

class RankBound {
 public:
  /// Both outlive it.
  RankBound(const Supposed& supposed, const cost::JobTimes& kernels)
      : supposed_(supposed), kernels_(kernels) {}

  /// What a rank with most samples of the busiest stage, and of each part of the machine, takes for a step of
  /// so many samples: of even shares the last one. None of its part has a larger share of channels and rows,
  /// and of the last micro-batch.
  RankSeconds seconds(const Candidate&, const Subject&, std::int64_t batch);
  /// The same of one stage alone, that of most FLOPs: no more than the busiest.
  RankSeconds of_one_stage(const Candidate&, const Subject&, std::int64_t batch);

  /// What the busiest link takes for the bytes of a step of all ranks, where messages meet; else 0.
  double seconds_of_links(const Subject&, std::int64_t batch);

  /// Of the step of all ranks, each of which counts as the last one of its stage.
  Length length(const Candidate&, const Subject&, std::int64_t batch);

 private:
  /// A rank by itself.
  struct Alone {
    machine::Picoseconds busy = 0, time = 0;
    Length length;
  };
  /// Of a stage: its number, the batch, and the first layers of its chunks and of those behind them.
  using Stage = std::vector<std::int64_t>;
  const Alone& last_of(const Candidate&, const Subject&, int stage, std::int64_t batch);
  [[nodiscard]] Alone alone(const Subject&, int rank, std::int64_t batch) const;

  const std::vector<machine::Link>& way(int from, int to);

  const Supposed& supposed_;
  const cost::JobTimes& kernels_;
  /// Of what has been asked for, by the plan without its cut: cuts have many stages in common.
  std::map<std::string, std::map<Stage, Alone>> known_;
  std::map<std::pair<int, int>, std::vector<machine::Link>> ways_;  ///< by ranks
};

}  // namespace partita::predict
