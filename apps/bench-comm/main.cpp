/// partita-bench-comm: what an all-reduce costs between these ranks, beside the MPI library's; and the table
/// from which `sync.algorithm = auto` chooses.
#include <benchmark/benchmark.h>

#include <cmath>
#include <iomanip>
#include <iostream>
#include <map>
#include <optional>
#include <string>

#include "options.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/base/paths.hpp"
#include "partita/base/version.hpp"
#include "partita/calibrate/rows.hpp"
#include "partita/comm/library.hpp"
#include "partita/command_line/command_line.hpp"
#include "partita/command_line/program.hpp"
#include "partita/results/atomic_file.hpp"
#include "partita/results/claim.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/version.hpp"

namespace {

using namespace partita;
using bench_comm::Measurement;
using Measurements = std::vector<Measurement>;

using command_line::bad_input, command_line::failed, command_line::success;

/// Shows nothing: Google Benchmark's reporter on all ranks but the first.
class Silence final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

/// Measurements by size, each made when the first benchmark of its size is run: contenders of a size are
/// timed together, Google Benchmark then reports them one by one.
class Campaign {
 public:
  Campaign(comm::Communicator& world, const bench_comm::Options& options)
      : world_(world), options_(options) {}

  const Measurements& of(comm::Bytes bytes) {
    auto& entry = measured_[bytes.value()];
    if (entry.empty()) entry = bench_comm::measure(world_, bytes, options_.sampling);
    return entry;
  }
  [[nodiscard]] const std::map<std::int64_t, Measurements>& all() const { return measured_; }

  void register_benchmarks() {
    const auto names = bench_comm::contenders(world_);
    for (const auto bytes : options_.sizes)
      for (std::size_t c = 0; c < names.size(); ++c)
        benchmark::RegisterBenchmark(
            ("all_reduce/" + names[c].name + "/bytes:" + std::to_string(bytes.value())).c_str(),
            [this, bytes, c](benchmark::State& state) { report(of(bytes)[c], state); })
            ->UseManualTime()
            ->Iterations(options_.sampling.samples)
            ->Unit(benchmark::kMicrosecond);
  }

 private:
  void report(const Measurement& measurement, benchmark::State& state) const {
    std::size_t sample = 0;
    for ([[maybe_unused]] auto _ : state)
      state.SetIterationTime(measurement.seconds[sample++]);
    const double p = world_.size(), median = measurement.median_seconds();
    const double algorithm_bandwidth = static_cast<double>(measurement.bytes.value()) / median;
    state.counters["median_us"] = median * 1e6;
    state.counters["algbw_GBps"] = algorithm_bandwidth * 1e-9;
    state.counters["busbw_GBps"] = algorithm_bandwidth * 2 * (p - 1) / p * 1e-9;
    if (!measurement.correct) state.SkipWithError("wrong result");
  }

  comm::Communicator& world_;
  const bench_comm::Options& options_;
  std::map<std::int64_t, Measurements> measured_;
};

/// Returns how many benchmarks the flags selected, the same on every rank.
std::size_t run_google_benchmark(int rank, const char* program, std::vector<std::string> flags) {
  if (rank != 0) std::erase_if(flags, [](const auto& flag) { return flag.starts_with("--benchmark_out"); });
  std::vector<char*> words{const_cast<char*>(program)};
  for (auto& flag : flags)
    words.push_back(flag.data());
  int count = static_cast<int>(words.size());
  words.push_back(nullptr);
  benchmark::Initialize(&count, words.data());
  if (benchmark::ReportUnrecognizedArguments(count, words.data())) return 0;
  benchmark::ConsoleReporter console(benchmark::ConsoleReporter::OO_Tabular);
  Silence silence;
  const auto selected = benchmark::RunSpecifiedBenchmarks(
      rank == 0 ? static_cast<benchmark::BenchmarkReporter*>(&console) : &silence);
  benchmark::Shutdown();
  return selected;
}

/// Per size and contender the median in microseconds, and how many times faster than the first contender it
/// is.
void print_summary(const Campaign& campaign, int ranks) {
  std::cout << "\nAll-reduce on " << ranks
            << " ranks: median microseconds a call, slowest rank (times faster than MPI_Allreduce, median of "
               "pairs)\n"
            << std::setw(10) << "bytes";
  bool header = true;
  for (const auto& [bytes, measurements] : campaign.all()) {
    if (std::exchange(header, false)) {
      for (const auto& m : measurements)
        std::cout << std::setw(24) << m.contender.name;
      std::cout << '\n';
    }
    std::cout << std::setw(10) << bytes << std::fixed;
    for (const auto& m : measurements)
      std::cout << std::setw(14) << std::setprecision(2) << m.median_seconds() * 1e6 << " (" << std::setw(6)
                << bench_comm::median_ratio(measurements.front(), m) << "x)";
    std::cout << std::defaultfloat << '\n';
  }
}

base::Versions libraries_in_use() {
  return {{"mpi", comm::library_version()}, {"hdf5", results::hdf5_version()}};
}

results::RunRecord record_of(const Campaign& campaign, const comm::Communicator& world,
                             const std::string& command_line,
                             const std::vector<results::RankEnvironment>& ranks) {
  results::RunRecord record{.attributes = results::new_attributes()};
  record.attributes.command_line = command_line;
  record.attributes.grid = {.data = world.size()};
  record.attributes.status = results::Status::complete;
  record.environment = {.entries = base::dependency_versions(libraries_in_use()), .ranks = ranks};
  record.steps.ranks = world.size();
  for (const auto& [bytes, measurements] : campaign.all())
    for (const auto& m : measurements) {
      const std::string parameters =
          "ranks=" + std::to_string(world.size()) + " bytes=" + std::to_string(bytes);
      for (std::size_t i = 0; i < m.seconds.size(); ++i)
        record.benchmarks.push_back({.name = "all_reduce/" + m.contender.name,
                                     .parameters = parameters,
                                     .unit = "s",
                                     .repetition = static_cast<std::int64_t>(i),
                                     .value = m.seconds[i]});
      if (!m.correct) record.attributes.status = results::Status::invalid;
    }
  return record;
}

/// The fastest of the contenders that `reach` allows, size by size. A change must gain 5 %: noise makes no
/// rule.
std::vector<collective::AlgorithmRule> rules_of(const Campaign& campaign, collective::Reach reach,
                                                int ranks) {
  std::vector<collective::AlgorithmRule> rules;
  const Measurement* before = nullptr;
  for (const auto& [bytes, measurements] : campaign.all()) {
    const Measurement *best = nullptr, *incumbent = nullptr;
    for (const auto& m : measurements) {
      const bool window = m.contender.algorithm == comm::Algorithm::window;
      if (!m.contender.algorithm || !m.correct ||
          (window && m.contender.in_window != (reach == collective::Reach::window)))
        continue;
      if (!best || m.median_seconds() < best->median_seconds()) best = &m;
      if (before && m.contender.name == before->contender.name) incumbent = &m;
    }
    if (incumbent && incumbent->median_seconds() <= 1.05 * best->median_seconds()) best = incumbent;
    if (!before || best->contender.algorithm != before->contender.algorithm) {
      if (before)
        rules.back().up_to =
            comm::Bytes(std::llround(std::sqrt(double(before->bytes.value()) * double(bytes))));
      rules.push_back({.reach = reach, .ranks = ranks, .algorithm = *best->contender.algorithm});
    }
    before = best;
  }
  return rules;
}

/// The rules of the file, else the shipped ones.
collective::AlgorithmTable base_table(const std::filesystem::path& path,
                                      std::vector<base::Violation>& violations) {
  if (const auto problem = base::path_problem(path); !problem.empty())
    violations.push_back({"--table", path.string(), problem});
  if (path.empty() || !base::exists(path)) return collective::AlgorithmTable::shipped();
  return collective::AlgorithmTable::read(path, "--table", violations);
}

/// The table with what was measured in the place of its rules for this reach and rank count.
void update_table(const std::filesystem::path& path, collective::AlgorithmTable table,
                  const Campaign& campaign, const comm::Communicator& world, const std::string& library) {
  const auto here = reach_of(world.place(comm::View()));
  table = table.with(rules_of(campaign, here, world.size()));
  if (here == collective::Reach::node)
    table = table.with(rules_of(campaign, collective::Reach::window, world.size()));
  results::replace_file(
      path, "# Fastest all-reduce by reach, ranks and bytes, as partita-bench-comm measured it.\n# " +
                library + "\n" + table.to_text());
}

int run(comm::MpiEnvironment& environment, comm::Communicator& world, const bench_comm::Options& options,
        const collective::AlgorithmTable& table, const char* program, const std::string& command_line) {
  const double load_before = calibrate::load();
  Campaign campaign(world, options);
  campaign.register_benchmarks();
  if (run_google_benchmark(world.rank(), program, options.benchmark_flags) == 0) return bad_input;
  const auto hosts = world.gather_text(environment.host(), 0, collective::Purpose::control);
  std::vector<results::RankEnvironment> ranks;
  for (const auto& host : hosts)
    ranks.push_back({.host = host, .cores = 1, .coordinate = {.data = static_cast<int>(ranks.size())}});
  if (world.rank() == 0) {
    print_summary(campaign, world.size());
    if (!options.output.empty())
      results::write_snapshot(options.output, record_of(campaign, world, command_line, ranks));
    if (!options.table.empty())
      update_table(options.table, table, campaign, world, environment.mpi_library());
  }
  if (!options.machine_rows.empty()) {
    const auto rows = bench_comm::measure_rows(environment, world, options.sizes.back());
    if (world.rank() == 0)
      results::replace_file(options.machine_rows,
                            calibrate::rows_text(rows, "Messages, windows and overheads", command_line, hosts,
                                                 {.before = load_before, .after = calibrate::load()}));
  }
  for (const auto& [bytes, measurements] : campaign.all())
    for (const auto& m : measurements)
      if (!m.correct) return failed;
  return success;
}

/// Of the files that are written: each its own, nobody else's, and writable.
void check_outputs(const bench_comm::Options& options, results::Claims& claims,
                   std::vector<base::Violation>& violations) {
  const auto append = [&](const std::vector<base::Violation>& more) {
    violations.insert(violations.end(), more.begin(), more.end());
  };
  using results::Use;
  const results::NamedPath files[] = {
      {"output", options.output, Use::writes},
      {"table", options.table, Use::writes},
      {"machine-rows", options.machine_rows, Use::writes},
      {"benchmark_out", command_line::value_of(options.benchmark_flags, "benchmark_out"), Use::writes}};
  auto refused = results::check_roles(files);
  if (refused.empty()) refused = claims.take(files);
  append(refused);
  if (!refused.empty()) return;  // another's files are not even tried
  if (!options.output.empty())
    append(results::check_output_path("output", options.output, options.overwrite));
  if (!options.machine_rows.empty())
    append(results::check_output_path("machine-rows", options.machine_rows, options.overwrite));
  if (!options.table.empty()) append(results::check_output_path("table", options.table, true));
}

int run_main(int argc, char** argv) {
  const auto command_line = command_line::text_of(argc, argv);
  return comm::run_program(argc, argv, std::cerr, [&](comm::MpiEnvironment& environment) -> int {
    auto control = comm::Communicator::world(environment);
    const bool prints = control.rank() == 0;
    std::vector<base::Violation> violations;
    const auto options = bench_comm::parse(argc, argv, violations);
    if (!options.help && !options.version)
      for (auto& violation : comm::check_launch(control.size()))
        violations.push_back(std::move(violation));
    const auto table = prints ? base_table(options.table, violations) : collective::AlgorithmTable::shipped();
    results::Claims claims;
    if (prints) check_outputs(options, claims, violations);
    violations = control.agree(violations);
    if (!violations.empty()) {
      if (prints)
        for (const auto& violation : violations)
          std::cerr << "partita-bench-comm: " << to_string(violation) << "\n";
      return bad_input;
    }
    if (options.help || options.version) {
      if (prints)
        std::cout << (options.help ? bench_comm::help_text()
                                   : base::version_text("partita-bench-comm", libraries_in_use()));
      return success;
    }
    auto world = control.with_nodes_of(options.ranks_per_node);
    return run(environment, world, options, table, argv[0], command_line);
  });
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-bench-comm");
  return command_line::run("partita-bench-comm", [&] { return run_main(argc, argv); });
}
