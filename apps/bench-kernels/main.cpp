/// partita-bench-kernels: the kernels of the reference workloads on one core beside oneDNN's, or those for
/// GPUs beside cuBLASLt's, both beside what the arithmetic units do at most.
#include <benchmark/benchmark.h>

#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "cpu_campaign.hpp"
#include "gpu_campaign.hpp"
#include "ladder_table.hpp"
#include "options.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/base/error.hpp"
#include "partita/base/version.hpp"
#include "partita/calibrate/rows.hpp"
#include "partita/comm/communicator.hpp"
#include "partita/comm/environment.hpp"
#include "partita/comm/library.hpp"
#include "partita/command_line/command_line.hpp"
#include "partita/command_line/program.hpp"
#include "partita/kernels/cpu/library.hpp"
#include "partita/kernels/cuda/devices.hpp"
#include "partita/results/atomic_file.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/version.hpp"

namespace {

using namespace partita;
using bench_kernels::Campaign;
using bench_kernels::CpuCampaign;
using bench_kernels::Effort;
using bench_kernels::GpuCampaign;
using bench_kernels::Options;

using command_line::bad_input, command_line::failed, command_line::success;

/// Says why there is no such GPU; true where there is one.
bool has_device(int device) {
  const auto query = kernels::cuda::query_devices();
  const auto devices = static_cast<int>(query.devices.size());
  if (devices == 0)
    std::cerr << "partita-bench-kernels: --backend=cuda: " << describe(query) << '\n';
  else if (device >= devices)
    std::cerr << "partita-bench-kernels: device = " << device << ": there is none; the nearest is "
              << devices - 1 << '\n';
  return device < devices;
}

/// Runs what Google Benchmark's flags select; false where they select nothing, which it says.
bool run_selected(Campaign& campaign, char* program, Options& options) {
  campaign.register_benchmarks();
  std::vector<char*> flags{program};
  for (auto& flag : options.benchmark_flags)
    flags.push_back(flag.data());
  int count = static_cast<int>(flags.size());
  flags.push_back(nullptr);
  benchmark::Initialize(&count, flags.data());
  if (benchmark::ReportUnrecognizedArguments(count, flags.data())) return false;
  benchmark::ConsoleReporter console(benchmark::ConsoleReporter::OO_Tabular);
  return benchmark::RunSpecifiedBenchmarks(&console) != 0;
}

base::Versions libraries_in_use() {
  return {{"mpi", comm::library_version()},
          {"hdf5", results::hdf5_version()},
          {"onednn", kernels::cpu::onednn_version()},
          {"cuda", describe(kernels::cuda::query_devices())}};
}

void write_results(const Campaign& campaign, const std::string& path, int argc, char** argv) {
  results::RunRecord record{.attributes = results::new_attributes()};
  record.attributes.command_line = command_line::text_of(argc, argv);
  record.attributes.status = campaign.correct() ? results::Status::complete : results::Status::invalid;
  record.environment.entries = base::dependency_versions(libraries_in_use());
  record.benchmarks = campaign.rows();
  results::write_snapshot(path, record);
}

void write_rows(const CpuCampaign& campaign, const std::string& path, const std::string& host,
                double load_before, int argc, char** argv) {
  results::replace_file(path, calibrate::rows_text({.kernels = campaign.kernel_times()},
                                                   "Kernels with operands in caches, where these hold them",
                                                   command_line::text_of(argc, argv), {host},
                                                   {.before = load_before, .after = calibrate::load()}));
}

void check_launch(comm::MpiEnvironment& environment) {
  auto violations = comm::check_launch(comm::Communicator::world(environment).size());
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
}

int run(int argc, char** argv) {
  auto options = bench_kernels::parse(argc, argv);
  if (options.help) return bench_kernels::print_help(std::cout), success;
  if (options.version)
    return std::cout << base::version_text("partita-bench-kernels", libraries_in_use()), success;
  results::Claims claims;
  bench_kernels::hold_outputs(options, claims);
  if (options.cuda && !has_device(options.device)) return bad_input;
  if (options.table && !options.cuda) return bench_kernels::print_ladder(std::cout, nullptr), success;
  comm::MpiEnvironment environment(argc, argv);
  check_launch(environment);
  const double load_before = calibrate::load();
  std::unique_ptr<Campaign> campaign;
  std::unique_ptr<kernels::Backend> host;
  GpuCampaign* gpu = nullptr;
  CpuCampaign* cpu = nullptr;
  if (options.cuda) {
    auto made = std::make_unique<GpuCampaign>(
        options.device, bench_kernels::gpu_cases(),
        Effort{.repetitions = options.repetitions, .race = {.proposals = options.proposals}});
    gpu = made.get();
    campaign = std::move(made);
  } else {
    host = kernels::make_cpu_backend(1);
    auto made = std::make_unique<CpuCampaign>(bench_kernels::all_cases(*host),
                                              bench_kernels::recording_costs(environment));
    cpu = made.get();
    campaign = std::move(made);
  }
  if (options.table)
    bench_kernels::print_ladder(std::cout, gpu);
  else if (!run_selected(*campaign, argv[0], options))
    return bad_input;
  else
    campaign->print_summary(std::cout);
  if (!options.output.empty()) write_results(*campaign, options.output, argc, argv);
  if (cpu != nullptr && !options.machine_rows.empty())
    write_rows(*cpu, options.machine_rows, environment.host(), load_before, argc, argv);
  if (gpu != nullptr && !options.gemm_table.empty())
    results::replace_file(options.gemm_table, gpu->product_table());
  return campaign->correct() ? success : failed;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-bench-kernels");
  return command_line::run("partita-bench-kernels", [&] { return run(argc, argv); });
}
