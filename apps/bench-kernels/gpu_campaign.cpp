/// Runs each case once, on a back-end of its precision, and turns the results into lines, rows of a result
/// file and the table that compute.gemm chooses by.
#include "gpu_campaign.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <iomanip>
#include <ostream>

#include "partita/results/statistics.hpp"

namespace partita::bench_kernels {

using kernels::Bytes;
using kernels::cuda::Precision;
using results::median;

GpuCampaign::GpuCampaign(int device, std::vector<GpuCase> cases, const Effort& effort)
    : device_(device), cases_(std::move(cases)), effort_(effort) {
  auto& first = backend(Precision::fp32);
  const auto chip = kernels::cuda::chip_figures(first);
  if (effort_.race.working_set == Bytes(0)) effort_.race.working_set = 2 * chip.level_2;
  const auto library = kernels::cuda::product_library();
  head_ = first.device().name() + ", " + std::to_string(chip.multiprocessors) +
          " multiprocessors; cuBLASLt " +
          (library.problem.empty() ? library.version : "is not compared with: " + library.problem);
}

kernels::Backend& GpuCampaign::backend(Precision precision) {
  auto& made = backends_[precision];
  if (!made) made = kernels::cuda::make_cuda_backend({.device = device_, .precision = precision});
  return *made;
}

const RaceResult& GpuCampaign::measured(const GpuCase& c) {
  const auto known = results_.find(&c);
  if (known != results_.end()) return known->second;
  auto& on = backend(c.precision);
  return results_[&c] = run_race(on, c.precision, c.make(on, effort_.race), effort_);
}

const RaceResult* GpuCampaign::found(const GpuCase& c) const {
  const auto known = results_.find(&c);
  return known == results_.end() ? nullptr : &known->second;
}

void GpuCampaign::register_benchmarks() {
  for (const auto& c : cases_)
    benchmark::RegisterBenchmark(
        (c.name + "/" + c.parameters).c_str(),
        [this, &c](benchmark::State& state) {
          const auto& result = measured(c);
          const auto* best = result.best(true);
          std::size_t sample = 0;
          for ([[maybe_unused]] auto _ : state)
            state.SetIterationTime(best ? best->seconds[sample++ % best->seconds.size()] : 0);
          if (!best) return state.SkipWithError("no kernel computes this");
          state.counters["TFLOP/s"] = result.flops_per_second(*best) * 1e-12;
          state.counters["of_peak"] = result.share_of_peak(*best);
          if (result.best(false)) state.counters["x_library"] = median(result.ratios(*best));
          if (!result.correct()) state.SkipWithError("wrong result");
        })
        ->UseManualTime()
        ->Iterations(effort_.repetitions)
        ->Unit(benchmark::kMicrosecond);
}

bool GpuCampaign::correct() const {
  return std::ranges::all_of(results_, [](const auto& entry) { return entry.second.correct(); });
}

void GpuCampaign::print(std::ostream& out, const GpuCase& c, const RaceResult& result) const {
  const auto* yardstick = result.best(false);
  for (const auto& way : result.ways) {
    if (!way.own && &way != yardstick) continue;
    out << std::left << std::setw(25) << c.name << std::setw(15) << way.name << std::right
        << std::setprecision(2) << std::setw(9) << result.flops_per_second(way) * 1e-12
        << std::setprecision(1) << std::setw(8) << 100 * result.share_of_peak(way) << "%"
        << std::setprecision(3);
    const auto ratios = way.own ? result.ratios(way) : std::vector<double>();
    if (ratios.empty())
      out << std::setw(9) << "-" << std::setw(18) << "";
    else
      out << std::setw(9) << median(ratios) << " (" << std::setw(6) << std::ranges::min(ratios) << " to "
          << std::setw(6) << std::ranges::max(ratios) << ")";
    out << std::setprecision(2) << std::setw(8) << way.error << "  " << c.parameters << "\n";
  }
}

void GpuCampaign::print_summary(std::ostream& out) const {
  out << "\n" << head_ << "\n";
  if (results_.empty()) return;
  out << "what                     by               TFLOP/s  of peak  x library (min to max)      error  "
         "shape\n"
      << std::fixed;
  for (const auto& c : cases_)
    if (const auto* result = found(c)) print(out, c, *result);
  for (const auto& [precision, backend] : backends_)
    for (const auto& c : cases_)
      if (const auto* result = found(c); result != nullptr && c.precision == precision) {
        out << "of peak, " << to_string(precision) << ": of " << peak_instruction(*backend, precision)
            << " without memory, measured in the same samples (median " << std::setprecision(1)
            << median(result->peak) * 1e-12 << " TFLOP/s).\n";
        break;
      }
  out << "x library: how many times faster than the fastest of the library's proposals (products), or than "
         "the library's\nproducts and element-wise kernels (layers); median of the repetitions. error: "
         "against a product in double; 1 is\nwhat rounding allows.\n";
}

std::vector<results::BenchmarkRow> GpuCampaign::rows() const {
  std::vector<results::BenchmarkRow> rows;
  for (const auto& c : cases_) {
    const auto* result = found(c);
    if (result == nullptr) continue;
    for (const auto& way : result->ways)
      add_rows(rows, c.name + "/" + way.name, c.parameters, "s", way.seconds);
    add_rows(rows, c.name + "/peak", c.parameters, "FLOP/s", result->peak);
  }
  return rows;
}

std::string GpuCampaign::product_table() const {
  std::vector<kernels::cuda::ProductTime> times;
  for (const auto& c : cases_) {
    const auto* result = found(c);
    if (result == nullptr || !c.product || c.product->bf16_result) continue;
    for (const auto& way : result->ways)
      if (way.own && way.error <= 1)
        times.push_back(
            {.product = *c.product, .kernel = way.name, .microseconds = median(way.seconds) * 1e6});
  }
  auto& backend = *backends_.at(Precision::fp32);
  return "# Measured by partita-bench-kernels on " + backend.device().name() + ": medians of " +
         std::to_string(effort_.repetitions) + ".\n" +
         kernels::cuda::product_table(kernels::cuda::chip_figures(backend).architecture, times);
}

}  // namespace partita::bench_kernels
