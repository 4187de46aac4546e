/// What no step of a split is shorter than: what its busiest rank computes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "partita/predict/candidates.hpp"

namespace partita::predict {

class ComputeBound {
 public:
  /// Both outlive it.
  ComputeBound(const Supposed& supposed, const cost::JobTimes& kernels)
      : supposed_(supposed), kernels_(kernels) {}

  /// What the last rank of the busiest stage, and of each part of the machine, computes in a step of so many
  /// samples. None of its part has a larger share of channels and rows, and of the last micro-batch.
  double seconds(const Candidate&, const Subject&, std::int64_t batch);
  /// The same of one stage alone, that of most FLOPs: no more than the busiest.
  double of_one_stage(const Candidate&, const Subject&, std::int64_t batch);

 private:
  /// Of a stage: its number, the batch, and the first layers of its chunks and of those behind them.
  using Stage = std::vector<std::int64_t>;
  machine::Picoseconds busy(const Candidate&, const Subject&, int stage, std::int64_t batch);

  const Supposed& supposed_;
  const cost::JobTimes& kernels_;
  /// Of what has been asked for, by the plan without its cut: cuts have many stages in common.
  std::map<std::string, std::map<Stage, machine::Picoseconds>> busy_;
};

}  // namespace partita::predict
