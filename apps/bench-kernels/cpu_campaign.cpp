/// Takes a sample of ours, of the library's and of the peak in turn, so that a clock that changes meets all
/// three; and shows and keeps what came of it.
#include "cpu_campaign.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <iomanip>
#include <ostream>

#include "partita/calibrate/rows.hpp"
#include "partita/results/statistics.hpp"

namespace partita::bench_kernels {
namespace {

constexpr int samples = 15;
constexpr double sample_seconds = 0.005;

Measurement measure(const Case& c) {
  Measurement m;
  c.ours();
  m.error = c.error();
  const auto calls_of = [](const std::function<void()>& call) {
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(sample_seconds / time_calls(call, 3)));
  };
  const auto ours = calls_of(c.ours), theirs = c.yardstick ? calls_of(c.yardstick) : 0;
  for (int sample = 0; sample < samples; ++sample) {
    m.ours.push_back(time_calls(c.ours, ours));
    if (c.yardstick) m.yardstick.push_back(time_calls(c.yardstick, theirs));
    double flops = 0;
    const double seconds = time_calls([&] { flops = fma_flops(200'000); }, 1);
    m.peak.push_back(flops / seconds);
  }
  return m;
}

}  // namespace

double Measurement::flops(const Case& c) const { return c.flops / results::median(ours); }

double Measurement::share_of_peak(const Case& c) const { return flops(c) / results::median(peak); }

double Measurement::ratio() const {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < yardstick.size(); ++i)
    ratios.push_back(yardstick[i] / ours[i]);
  return results::median(ratios);
}

void CpuCampaign::register_benchmarks() {
  for (const auto& c : cases_)
    benchmark::RegisterBenchmark((c.name + "/" + c.parameters).c_str(),
                                 [this, &c](benchmark::State& state) { report(c, state); })
        ->UseManualTime()
        ->Iterations(samples)
        ->Unit(benchmark::kMicrosecond);
  for (const auto& cost : costs_)
    benchmark::RegisterBenchmark(cost.name.c_str(),
                                 [this, &cost](benchmark::State& state) {
                                   auto& values = recording_[cost.name];
                                   for ([[maybe_unused]] auto _ : state)
                                     state.SetIterationTime(values.emplace_back(cost.seconds()));
                                 })
        ->UseManualTime()
        ->Iterations(samples)
        ->Unit(benchmark::kNanosecond);
}

bool CpuCampaign::correct() const {
  return std::ranges::all_of(measured_, [](const auto& entry) { return entry.second.error <= 1; });
}

void CpuCampaign::print_summary(std::ostream& out) const {
  out << "\nkernel                      GFLOP/s  of peak  x sgemm   error  shape\n" << std::fixed;
  for (const auto& c : cases_) {
    const auto found = measured_.find(&c);
    if (found == measured_.end()) continue;
    const auto& m = found->second;
    out << std::left << std::setw(27) << c.name << std::right << std::setprecision(1) << std::setw(8)
        << m.flops(c) * 1e-9 << std::setw(8) << 100 * m.share_of_peak(c) << "%" << std::setprecision(2);
    if (c.yardstick)
      out << std::setw(9) << m.ratio();
    else
      out << std::setw(9) << "-";
    out << std::setw(8) << m.error << "  " << c.parameters << "\n";
  }
  for (const auto& [name, values] : recording_)
    out << name << ": " << std::setprecision(1) << results::median(values) * 1e9 << " ns\n";
  if (measured_.empty()) return;
  out << "of peak: of fused multiply-adds on this core, measured in the same samples (median "
      << results::median(measured_.begin()->second.peak) * 1e-9
      << " GFLOP/s).\nerror: largest, against the double reference; 1 is what rounding allows.\n";
}

std::vector<results::BenchmarkRow> CpuCampaign::rows() const {
  std::vector<results::BenchmarkRow> rows;
  for (const auto& c : cases_) {
    const auto found = measured_.find(&c);
    if (found == measured_.end()) continue;
    add_rows(rows, c.name + "/cpu", c.parameters, "s", found->second.ours);
    add_rows(rows, c.name + "/sgemm", c.parameters, "s", found->second.yardstick);
    add_rows(rows, c.name + "/fma_peak", c.parameters, "FLOP/s", found->second.peak);
  }
  for (const auto& [name, values] : recording_)
    add_rows(rows, name, "", "s", values);
  return rows;
}

std::vector<machine::KernelTime> CpuCampaign::kernel_times() const {
  std::vector<machine::KernelTime> times;
  for (const auto& c : cases_)
    if (const auto found = measured_.find(&c); found != measured_.end() && found->second.error <= 1)
      times.push_back(calibrate::time_of(c.key, found->second.ours));
  return times;
}

void CpuCampaign::report(const Case& c, benchmark::State& state) {
  const auto& m = measured_[&c] = measure(c);
  std::size_t sample = 0;
  for ([[maybe_unused]] auto _ : state)
    state.SetIterationTime(m.ours[sample++]);
  state.counters["GFLOP/s"] = m.flops(c) * 1e-9;
  state.counters["of_peak"] = m.share_of_peak(c);
  if (c.yardstick) state.counters["x_sgemm"] = m.ratio();
  if (m.error > 1) state.SkipWithError("wrong result");
}

}  // namespace partita::bench_kernels
