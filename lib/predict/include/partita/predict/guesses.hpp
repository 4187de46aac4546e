/// Which kernels of a training a machine's rows do not tell the time of, so that a prediction would guess it:
/// extrapolate, or model by FLOPs and bytes.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "partita/predict/scaling.hpp"

namespace partita::predict {

class Guesses {
 public:
  /// The machine outlives this.
  explicit Guesses(const machine::Machine& machine) : machine_(&machine) {}

  /// Of all ranks of a subject that takes batches of these sizes. All subjects are of one run.
  void add(const Subject&, std::span<const std::int64_t> batches);
  /// Of every row of a scaling table (`scaling_of`).
  void add_scaling(const config::RunOptions&, const collective::AlgorithmTable&, int first, int last);
  /// Of all candidates for so many ranks that the run does not refuse, with batches of these sizes.
  void add_candidates(const config::RunOptions&, int ranks, const collective::AlgorithmTable&,
                      std::span<const std::int64_t> batches);

  /// Throws a `base::ConfigError` where there are any: one violation for each kernel, of `no-extrapolation`,
  /// with the nearest that was measured.
  void refuse() const;

 private:
  const cost::KernelTimes& times_of(const cost::Execution&);

  const machine::Machine* machine_;
  std::map<int, cost::KernelTimes> times_;  ///< by active ranks
  std::map<machine::KernelKey, base::Violation> violations_;
};

}  // namespace partita::predict
