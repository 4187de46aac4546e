/// Reads the options and refuses all that is wrong with them together; Google Benchmark's own flags are
/// passed on unread.
#include "options.hpp"

#include <sstream>

#include "partita/command_line/command_line.hpp"
#include "partita/config/options.hpp"

namespace partita::bench_comm {
namespace {

namespace po = boost::program_options;
using Violations = std::vector<base::Violation>;

constexpr const char* default_sizes =
    "8,64,256,1024,4096,16384,65536,262144,1048576,4194304,16777216,67108864";

po::options_description described() {
  po::options_description options("Options", 100);
  options.add_options()("bytes", po::value<std::string>()->default_value(default_sizes),
                        "sizes to measure, multiples of 4, separated by commas")(
      "samples", po::value<std::string>()->default_value("15"),
      "samples of each contender and size (1 to 10000)")("ranks-per-node",
                                                         po::value<std::string>()->default_value("0"),
                                                         "imitate nodes of so many ranks; 0: the real nodes")(
      "output", po::value<std::string>(), "result file to write (HDF5): every sample")(
      "table", po::value<std::string>(),
      "table of algorithms to bring up to date with what is measured here, for this number of ranks; "
      "a new file starts from the shipped table. partita-train reads it with sync.table")(
      "machine-rows", po::value<std::string>(),
      "file to write: messages, windows and overheads between these ranks, up to the largest of --bytes, as "
      "lines to append to a machine file; takes some 20 seconds more")(
      "overwrite", "replace an existing --output or --machine-rows")("help", "this text")(
      "version", "version and commit");
  return options;
}

std::int64_t number(const std::string& key, const std::string& text, std::int64_t least, std::int64_t most,
                    Violations& violations) {
  return command_line::whole_number(key, text, least, most, violations).value_or(least);
}

std::vector<comm::Bytes> parse_sizes(const std::string& text, Violations& violations) {
  std::vector<comm::Bytes> sizes;
  std::istringstream list(text);
  for (std::string word; std::getline(list, word, ',');) {
    const auto bytes = number("--bytes", word, 4, std::int64_t{1} << 36, violations);
    if (bytes % 4 != 0)
      violations.push_back(
          {"--bytes", word, "must be a multiple of 4; the nearest is " + std::to_string(bytes / 4 * 4)});
    if (!sizes.empty() && comm::Bytes(bytes) <= sizes.back())
      violations.push_back({"--bytes", word, "must rise"});
    sizes.push_back(comm::Bytes(bytes));
  }
  if (sizes.empty()) violations.push_back({"--bytes", text, "must name a size"});
  return sizes;
}

}  // namespace

Options parse(int argc, char** argv, Violations& violations) {
  Options options;
  auto words = command_line::words_of(argc, argv);
  options.benchmark_flags = command_line::take_words(words, "--benchmark_");
  po::variables_map values;
  try {
    values = command_line::parse(words, described());
  } catch (const base::ConfigError& wrong) {
    violations.insert(violations.end(), wrong.violations().begin(), wrong.violations().end());
    return options;
  }
  const auto text = [&](const char* key) { return command_line::text_of(values, key); };
  options.help = values.count("help") > 0;
  options.version = values.count("version") > 0;
  options.overwrite = values.count("overwrite") > 0;
  options.sizes = parse_sizes(text("bytes"), violations);
  options.sampling.samples = static_cast<int>(number("--samples", text("samples"), 1, 10'000, violations));
  config::RunOptions run;
  if (const auto wrong = config::read_key(run, "sync.ranks-per-node", text("ranks-per-node")); !wrong.empty())
    violations.push_back({"--ranks-per-node", text("ranks-per-node"), wrong});
  options.ranks_per_node = run.sync.ranks_per_node;
  options.output = text("output");
  options.table = text("table");
  options.machine_rows = text("machine-rows");
  return options;
}

std::string help_text() {
  std::ostringstream text;
  text << "Usage: mpiexec -n RANKS partita-bench-comm [OPTIONS]\n\n"
          "Times all-reduces (fp32 sums) between all ranks: Partita's algorithms, the MPI library's own with "
          "a wait that yields\n"
          "the core, and its blocking MPI_Allreduce, in turn within each sample; results are checked. A "
          "sample is the mean\n"
          "of calls back to back, of the slowest rank.\n\n"
       << described()
       << "\nFlags that begin with --benchmark_ go to Google Benchmark (--benchmark_filter=REGEX, "
          "--benchmark_out=FILE, …).\n"
          "Exit codes: 0 success; 1 a result was wrong, or a fault; 2 bad input.\n";
  return text.str();
}

}  // namespace partita::bench_comm
