/// partita-bench-kernels: the kernels of the reference workloads on one core, beside oneDNN's sgemm and the
/// measured peak of fused multiply-adds; and what recording a step costs.
#include <benchmark/benchmark.h>

#include <iomanip>
#include <iostream>
#include <map>

#include "cases.hpp"
#include "command_line/command_line.hpp"
#include "partita/base/error.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/statistics.hpp"
#include "partita/results/version.hpp"
#include "recording.hpp"

namespace {

using namespace partita;
using bench_kernels::Case;
namespace po = boost::program_options;

enum ExitCode { success = 0, failed = 1, bad_input = 2 };
constexpr int samples = 15;
constexpr double sample_seconds = 0.005;

struct Options {
  bool help = false, version = false, overwrite = false;
  std::string output;
  command_line::Words benchmark_flags;
};

po::options_description described() {
  po::options_description options("Options", 100);
  options.add_options()("output", po::value<std::string>(), "result file to write (HDF5): every sample")(
      "overwrite", "replace an existing --output")("help", "this text")("version", "version and commit");
  return options;
}

Options parse(int argc, char** argv) {
  Options options;
  auto words = command_line::words_of(argc, argv);
  options.benchmark_flags = command_line::take_words(words, "--benchmark_");
  const auto values = command_line::parse(words, described());
  options.help = values.count("help") > 0;
  options.version = values.count("version") > 0;
  options.overwrite = values.count("overwrite") > 0;
  options.output = command_line::text_of(values, "output");
  if (!options.output.empty())
    if (const auto violations = results::check_output_path("output", options.output, options.overwrite);
        !violations.empty())
      throw base::ConfigError(violations);
  return options;
}

/// Samples of one kernel, of the yardstick and of the peak, taken in turn so that drift of the machine meets
/// all alike.
struct Measurement {
  std::vector<double> ours, yardstick;  ///< seconds
  std::vector<double> peak;             ///< FLOP/s
  double error = 0;                     ///< 1 is what rounding allows

  [[nodiscard]] double flops(const Case& c) const { return c.flops / results::median(ours); }
  [[nodiscard]] double share_of_peak(const Case& c) const { return flops(c) / results::median(peak); }
  /// How many times faster than the yardstick; the median of the pairs.
  [[nodiscard]] double ratio() const {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < yardstick.size(); ++i)
      ratios.push_back(yardstick[i] / ours[i]);
    return results::median(ratios);
  }
};

Measurement measure(const Case& c) {
  Measurement m;
  c.ours();
  m.error = c.error();
  const auto calls_of = [](const std::function<void()>& call) {
    return std::max<std::int64_t>(
        1, static_cast<std::int64_t>(sample_seconds / bench_kernels::time_calls(call, 3)));
  };
  const auto ours = calls_of(c.ours), theirs = c.yardstick ? calls_of(c.yardstick) : 0;
  for (int sample = 0; sample < samples; ++sample) {
    m.ours.push_back(bench_kernels::time_calls(c.ours, ours));
    if (c.yardstick) m.yardstick.push_back(bench_kernels::time_calls(c.yardstick, theirs));
    double flops = 0;
    const double seconds = bench_kernels::time_calls([&] { flops = bench_kernels::fma_flops(200'000); }, 1);
    m.peak.push_back(flops / seconds);
  }
  return m;
}

class Campaign {
 public:
  Campaign(std::vector<Case> cases, std::vector<bench_kernels::Cost> costs)
      : cases_(std::move(cases)), costs_(std::move(costs)) {}

  void register_benchmarks() {
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

  [[nodiscard]] bool correct() const {
    return std::ranges::all_of(measured_, [](const auto& entry) { return entry.second.error <= 1; });
  }

  void print_summary(std::ostream& out) const {
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

  [[nodiscard]] std::vector<results::BenchmarkRow> rows() const {
    std::vector<results::BenchmarkRow> rows;
    const auto add = [&](const std::string& name, const std::string& parameters, const std::string& unit,
                         const std::vector<double>& values) {
      for (std::size_t i = 0; i < values.size(); ++i)
        rows.push_back({.name = name,
                        .parameters = parameters,
                        .unit = unit,
                        .repetition = static_cast<std::int64_t>(i),
                        .value = values[i]});
    };
    for (const auto& c : cases_) {
      const auto found = measured_.find(&c);
      if (found == measured_.end()) continue;
      add(c.name + "/cpu", c.parameters, "s", found->second.ours);
      add(c.name + "/sgemm", c.parameters, "s", found->second.yardstick);
      add(c.name + "/fma_peak", c.parameters, "FLOP/s", found->second.peak);
    }
    for (const auto& [name, values] : recording_)
      add(name, "", "s", values);
    return rows;
  }

 private:
  void report(const Case& c, benchmark::State& state) {
    const auto& m = measured_[&c] = measure(c);
    std::size_t sample = 0;
    for ([[maybe_unused]] auto _ : state)
      state.SetIterationTime(m.ours[sample++]);
    state.counters["GFLOP/s"] = m.flops(c) * 1e-9;
    state.counters["of_peak"] = m.share_of_peak(c);
    if (c.yardstick) state.counters["x_sgemm"] = m.ratio();
    if (m.error > 1) state.SkipWithError("wrong result");
  }

  std::vector<Case> cases_;
  std::vector<bench_kernels::Cost> costs_;
  std::map<const Case*, Measurement> measured_;
  std::map<std::string, std::vector<double>> recording_;
};

int run(int argc, char** argv) {
  auto options = parse(argc, argv);
  if (options.help) {
    std::cout
        << "Usage: partita-bench-kernels [OPTIONS]\n\nTimes the kernels of the reference workloads on one "
           "core, in turn with dnnl_sgemm "
           "and a loop of\nfused multiply-adds; checks every result against the double reference.\n\n"
        << described()
        << "\nFlags that begin with --benchmark_ go to Google Benchmark (--benchmark_filter=REGEX, …).\n"
           "Exit codes: 0 success; 1 a result was wrong, or a fault; 2 bad input.\n";
    return success;
  }
  if (options.version)
    return std::cout << "partita-bench-kernels " << results::version().software_version << "\n", success;
  comm::MpiEnvironment environment(argc, argv);
  const auto backend = kernels::make_cpu_backend(1);
  Campaign campaign(bench_kernels::all_cases(*backend), bench_kernels::recording_costs(environment));
  campaign.register_benchmarks();
  std::vector<char*> flags{argv[0]};
  for (auto& flag : options.benchmark_flags)
    flags.push_back(flag.data());
  int count = static_cast<int>(flags.size());
  flags.push_back(nullptr);
  benchmark::Initialize(&count, flags.data());
  if (benchmark::ReportUnrecognizedArguments(count, flags.data())) return bad_input;
  benchmark::ConsoleReporter console(benchmark::ConsoleReporter::OO_Tabular);
  if (benchmark::RunSpecifiedBenchmarks(&console) == 0)
    return bad_input;  // the filter matches nothing, and says so
  campaign.print_summary(std::cout);
  if (!options.output.empty()) {
    results::RunRecord record{.attributes = results::new_attributes()};
    for (int i = 0; i < argc; ++i)
      record.attributes.command_line += (i > 0 ? " " : "") + std::string(argv[i]);
    record.attributes.status = campaign.correct() ? results::Status::complete : results::Status::invalid;
    record.benchmarks = campaign.rows();
    results::write_snapshot(options.output, record);
  }
  return campaign.correct() ? success : failed;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const base::ConfigError& wrong) {
    return std::cerr << "partita-bench-kernels: " << wrong.what() << '\n', bad_input;
  } catch (const std::exception& wrong) {
    return std::cerr << "partita-bench-kernels: " << wrong.what() << '\n', failed;
  }
}
