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
  /// What is supposed outlives it.
  ComputeBound(const Supposed& supposed, cost::KernelTimes kernels)
      : supposed_(supposed), kernels_(std::move(kernels)) {}

  /// What the last rank of the busiest stage computes in a step of so many samples. None has a larger share
  /// of channels and rows, and of the last micro-batch.
  double seconds(const Candidate&, const Subject&, std::int64_t batch);
  /// The same of one stage alone, that of most FLOPs: no more than the busiest.
  double of_one_stage(const Candidate&, const Subject&, std::int64_t batch);

 private:
  /// Of a stage: its number, the batch, and the first layers of its chunks and of those behind them.
  using Stage = std::vector<std::int64_t>;
  machine::Picoseconds busy(const Candidate&, const Subject&, int stage, std::int64_t batch);

  const Supposed& supposed_;
  cost::KernelTimes kernels_;
  /// Of what has been asked for, by the plan without its cut: cuts have many stages in common.
  std::map<std::string, std::map<Stage, machine::Picoseconds>> busy_;
};

}  // namespace partita::predict
