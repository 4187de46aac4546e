/// What ranks take by themselves: no step of a split is shorter than what one of its ranks takes with its
/// transfers if no other is late.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "course.hpp"
#include "partita/predict/candidates.hpp"

namespace partita::predict {

class RankBound {
 public:
  /// Both outlive it.
  RankBound(const Supposed& supposed, const cost::JobTimes& kernels)
      : supposed_(supposed), kernels_(kernels) {}

  /// Seconds that the last rank of the stage, and of the part of the machine, that takes longest takes for a
  /// step of so many samples. None of its part has a larger share of channels and rows, and of the last
  /// micro-batch.
  double seconds(const Candidate&, const Subject&, std::int64_t batch);
  /// The same of one stage alone, that of most FLOPs: no more than the longest.
  double of_one_stage(const Candidate&, const Subject&, std::int64_t batch);

  /// Of the step of all ranks, each of which counts as the last one of its stage.
  Length length(const Candidate&, const Subject&, std::int64_t batch);

 private:
  /// A rank by itself.
  struct Alone {
    machine::Picoseconds time = 0;
    Length length;
  };
  /// Of a stage: its number, the batch, and the first layers of its chunks and of those behind them.
  using Stage = std::vector<std::int64_t>;
  const Alone& last_of(const Candidate&, const Subject&, int stage, std::int64_t batch);

  const Supposed& supposed_;
  const cost::JobTimes& kernels_;
  /// Of what has been asked for, by the plan without its cut: cuts have many stages in common.
  std::map<std::string, std::map<Stage, Alone>> known_;
};

}  // namespace partita::predict
