/// Races on one CUDA device.
#pragma once

#include <map>

#include "campaign.hpp"
#include "gpu_cases.hpp"

namespace partita::bench_kernels {

class GpuCampaign final : public Campaign {
 public:
  /// Throws std::runtime_error in one line that names the driver's problem where there is no such device.
  GpuCampaign(int device, std::vector<GpuCase> cases, const Effort& effort = {});

  void register_benchmarks() override;
  [[nodiscard]] bool correct() const override;
  void print_summary(std::ostream&) const override;
  [[nodiscard]] std::vector<results::BenchmarkRow> rows() const override;

  /// Measures a case that was not yet, and keeps what came of it.
  const RaceResult& measured(const GpuCase&);
  /// Those measured so far.
  [[nodiscard]] const RaceResult* found(const GpuCase&) const;
  [[nodiscard]] const std::vector<GpuCase>& cases() const { return cases_; }
  /// The table by which products are chosen, of the own kernels that were measured and right; those with
  /// results in bfloat16 are left out, as training has none.
  [[nodiscard]] std::string product_table() const;
  [[nodiscard]] std::string device_name() { return backend(kernels::cuda::Precision::fp32).device().name(); }

 private:
  kernels::Backend& backend(kernels::cuda::Precision);
  void print(std::ostream&, const GpuCase&, const RaceResult&) const;

  int device_;
  std::vector<GpuCase> cases_;
  Effort effort_;
  std::map<kernels::cuda::Precision, std::unique_ptr<kernels::Backend>> backends_;
  std::map<const GpuCase*, RaceResult> results_;
  std::string head_;
};

}  // namespace partita::bench_kernels
