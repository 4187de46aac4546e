/// Reads the options, refuses all that is wrong with them together, and keeps other processes from the files
/// that will be written.
#include "options.hpp"

#include <ostream>

#include "partita/base/error.hpp"
#include "partita/results/result_file.hpp"

namespace partita::bench_kernels {
namespace {

namespace po = boost::program_options;

po::options_description described() {
  po::options_description options("Options", 100);
  options.add_options()("backend", po::value<std::string>()->default_value("cpu"),
                        "cpu: kernels on one core; cuda: races on a GPU")(
      "device", po::value<std::string>()->default_value("0"), "which GPU")(
      "repetitions", po::value<std::string>()->default_value("20"), "samples of each way of a race on a GPU")(
      "proposals", po::value<std::string>()->default_value("16"),
      "of cuBLASLt's in a race of products, at most")("output", po::value<std::string>(),
                                                      "result file to write (HDF5): every sample")(
      "overwrite", "replace an existing --output or --machine-rows")(
      "machine-rows", po::value<std::string>(),
      "file to write: the kernels' times as lines to append to a machine file (needs --backend=cpu)")(
      "gemm-table", po::value<std::string>(),
      "file to write: the products' times, as compute.gemm chooses by (needs --backend=cuda)")(
      "table", "print the ladder of product kernels as Markdown; with --backend=cuda measured at 4096³")(
      "help", "this text")("version", "version and commit");
  return options;
}

}  // namespace

Options parse(int argc, char** argv) {
  Options options;
  auto words = command_line::words_of(argc, argv);
  options.benchmark_flags = command_line::take_words(words, "--benchmark_");
  const auto values = command_line::parse(words, described());
  std::vector<base::Violation> violations;
  options.help = values.count("help") > 0;
  options.version = values.count("version") > 0;
  options.overwrite = values.count("overwrite") > 0;
  options.table = values.count("table") > 0;
  options.output = command_line::text_of(values, "output");
  options.machine_rows = command_line::text_of(values, "machine-rows");
  options.gemm_table = command_line::text_of(values, "gemm-table");
  const auto backend = command_line::text_of(values, "backend");
  options.cuda = backend == "cuda";
  if (backend != "cpu" && backend != "cuda")
    violations.push_back({.key = "backend", .value = backend, .message = "must be cpu or cuda"});
  if (!options.gemm_table.empty() && !options.cuda)
    violations.push_back(
        {.key = "gemm-table", .value = options.gemm_table, .message = "needs --backend=cuda"});
  if (!options.machine_rows.empty() && (options.cuda || options.table))
    violations.push_back({.key = "machine-rows",
                          .value = options.machine_rows,
                          .message = "needs --backend=cpu, without --table"});
  if (const auto device =
          command_line::whole_number("device", command_line::text_of(values, "device"), 0, 1023, violations))
    options.device = static_cast<int>(*device);
  const auto count = [&](const char* name, std::int64_t most, int& value) {
    const auto given = command_line::text_of(values, name);
    if (const auto number = command_line::whole_number(name, given, 1, most, violations))
      value = static_cast<int>(*number);
    if (!options.cuda && !values[name].defaulted())
      violations.push_back({.key = name, .value = given, .message = "needs --backend=cuda"});
  };
  count("repetitions", 1000, options.repetitions);
  count("proposals", 100, options.proposals);
  if (!violations.empty()) throw base::ConfigError(violations);
  return options;
}

void hold_outputs(const Options& options, results::Claims& claims) {
  using results::Use;
  const results::NamedPath files[] = {
      {"output", options.output, Use::writes},
      {"machine-rows", options.machine_rows, Use::writes},
      {"gemm-table", options.gemm_table, Use::writes},
      {"benchmark_out", command_line::value_of(options.benchmark_flags, "benchmark_out"), Use::writes}};
  auto violations = results::check_roles(files);
  const auto append = [&](const std::vector<base::Violation>& more) {
    violations.insert(violations.end(), more.begin(), more.end());
  };
  if (violations.empty()) append(claims.take(files));
  if (!violations.empty()) throw base::ConfigError(violations);  // another's files are not even tried
  if (!options.output.empty())
    append(results::check_output_path("output", options.output, options.overwrite));
  if (!options.machine_rows.empty())
    append(results::check_output_path("machine-rows", options.machine_rows, options.overwrite));
  if (!options.gemm_table.empty()) append(results::check_output_path("gemm-table", options.gemm_table, true));
  if (!violations.empty()) throw base::ConfigError(violations);
}

void print_help(std::ostream& out) {
  out << "Usage: partita-bench-kernels [OPTIONS]\n\nTimes the kernels of the reference workloads on one "
         "core, in turn "
         "with dnnl_sgemm and a loop of\nfused multiply-adds; or with --backend=cuda every matrix product of "
         "the "
         "CUDA kernels in turn with\ncuBLASLt's proposals and the arithmetic units' peak, fused layers with "
         "unfused "
         "ones, and convolutions,\non operands that together exceed the level-2 cache. Checks every result "
         "against "
         "double.\n\n"
      << described()
      << "\nFlags that begin with --benchmark_ go to Google Benchmark: --benchmark_list_tests, "
         "--benchmark_filter=REGEX\n(^gemm/, ^layer/, ^conv_, …).\n"
         "Exit codes: 0 success; 1 a result was wrong, or a fault; 2 bad input, or no GPU for "
         "--backend=cuda.\n";
}

}  // namespace partita::bench_kernels
