/// The kernels of the reference workloads on one core, beside oneDNN's sgemm and the measured peak of fused
/// multiply-adds; and what recording a step costs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "campaign.hpp"
#include "cases.hpp"
#include "recording.hpp"

namespace benchmark {
class State;
}

namespace partita::bench_kernels {

/// Samples of one kernel, of the yardstick and of the peak, taken in turn so that drift of the machine meets
/// all alike.
struct Measurement {
  std::vector<double> ours, yardstick;  ///< seconds
  std::vector<double> peak;             ///< FLOP/s
  double error = 0;                     ///< 1 is what rounding allows

  [[nodiscard]] double flops(const Case&) const;
  [[nodiscard]] double share_of_peak(const Case&) const;
  /// How many times faster than the yardstick; the median of the pairs.
  [[nodiscard]] double ratio() const;
};

class CpuCampaign final : public Campaign {
 public:
  CpuCampaign(std::vector<Case> cases, std::vector<Cost> costs)
      : cases_(std::move(cases)), costs_(std::move(costs)) {}

  void register_benchmarks() override;
  [[nodiscard]] bool correct() const override;
  void print_summary(std::ostream&) const override;
  [[nodiscard]] std::vector<results::BenchmarkRow> rows() const override;
  /// Of all kernels that were measured and right, for a machine file.
  [[nodiscard]] std::vector<machine::KernelTime> kernel_times() const;

 private:
  void report(const Case&, benchmark::State&);

  std::vector<Case> cases_;
  std::vector<Cost> costs_;
  std::map<const Case*, Measurement> measured_;
  std::map<std::string, std::vector<double>> recording_;
};

}  // namespace partita::bench_kernels
