/// Several ways of computing the same on a device, timed in turn by the device's events.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "partita/kernels/cuda/yardstick.hpp"

namespace partita::bench_kernels {

struct Way {
  std::string name;  ///< "warp_tile", "cublas-3", "unfused"
  bool own = true;   ///< else a yardstick
  /// Issues the work on one of the race's sets of operands; it is recorded and repeated.
  std::function<void(int set)> issue;
  /// Runs once more and gives the largest error relative to what rounding allows.
  std::function<double()> error;
};

struct Race {
  double flops = 0;
  int sets = 1;
  std::vector<Way> ways;
};

/// How much is measured. A sample is a graph of so many calls that it takes `sample_seconds`, at least one
/// for each set of operands. Ways that take ten times the fastest's time are sampled `slow_repetitions`
/// times.
struct Effort {
  int repetitions = 20, slow_repetitions = 3;
  double sample_seconds = 1e-3;
  int most_calls = 1024;
  /// Of the peak's loop, by whose time the sampled rounds are chosen and which run ahead of every sample:
  /// longer than the host takes to issue one.
  int trial_rounds = 256;
  kernels::cuda::RaceOptions race;  ///< a working set of 0: twice the level-2 cache
};

struct WayResult {
  std::string name;
  bool own = true;
  double error = 0;
  std::vector<double> seconds;  ///< of one call
};

struct RaceResult {
  double flops = 0;
  std::vector<WayResult> ways;
  std::vector<double> peak;  ///< FLOP/s

  /// The fastest of the own ways or of the yardsticks; null where there is none.
  [[nodiscard]] const WayResult* best(bool own) const;
  [[nodiscard]] double flops_per_second(const WayResult&) const;
  [[nodiscard]] double share_of_peak(const WayResult&) const;
  /// How many times faster than the best yardstick: one ratio for each repetition of both.
  [[nodiscard]] std::vector<double> ratios(const WayResult&) const;
  [[nodiscard]] bool correct() const;
};

/// Checks each way, then samples all of them and the peak in turn.
RaceResult run_race(kernels::Backend&, kernels::cuda::Precision, const Race&, const Effort&);

}  // namespace partita::bench_kernels
