/// Which kernels of a training a machine's rows do not tell the time of, so that a prediction would guess it:
/// extrapolate, or model by FLOPs and bytes.
#pragma once

#include <map>
#include <span>
#include <tuple>
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
  void add_candidates(const config::RunOptions&, int ranks, Shares, const collective::AlgorithmTable&,
                      std::span<const std::int64_t> batches);

  /// Throws a `base::ConfigError` where there are any: one violation for each kernel, of `no-extrapolation`,
  /// with the nearest that was measured.
  void refuse() const;

 private:
  using Times = std::pair<int, cost::KernelTimes>;  ///< with the part of the machine whose they are

  const Times& times_of(int part, const cost::Execution&);
  void add(const Times&, const step::Program&, std::int64_t batch);

  const machine::Machine* machine_;
  /// By part, and what executions of one run differ in: active ranks and crowding.
  std::map<std::tuple<int, int, double>, Times> times_;
  std::map<std::pair<int, machine::KernelKey>, base::Violation> violations_;  ///< by part
};

}  // namespace partita::predict
