/// Reads the options and refuses all that is wrong with them together.
#include "options.hpp"

#include <sstream>

#include "partita/command_line/command_line.hpp"
#include "partita/config/options.hpp"

namespace partita::calibrate {
namespace {

namespace po = boost::program_options;
using Violations = std::vector<base::Violation>;

constexpr std::int64_t default_budget = 180, quick_budget = 12, most_budget = 86'400, most_threads = 4096;

po::options_description described() {
  po::options_description options("Options", 100);
  options.add_options()("output", po::value<std::string>(), "machine file to write")(
      "budget", po::value<std::string>(),
      "seconds to measure (1 to 86400); 180 by default, with --quick 12. A few shapes are measured however "
      "short it is")("quick", "few and small shapes: to see that all works, not to predict by")(
      "threads", po::value<std::string>()->default_value("1"), "threads of a rank (1 to 4096)")(
      "ranks-per-node", po::value<std::string>()->default_value("0"),
      "imitate nodes of so many ranks; 0: the real nodes")("overwrite", "replace an existing --output")(
      "help", "this text")("version", "version and commit");
  return options;
}

}  // namespace

Options parse(int argc, char** argv, Violations& violations) {
  Options options;
  po::variables_map values;
  try {
    values = command_line::parse(command_line::words_of(argc, argv), described());
  } catch (const base::ConfigError& wrong) {
    violations.insert(violations.end(), wrong.violations().begin(), wrong.violations().end());
    return options;
  }
  const auto text = [&](const char* key) { return command_line::text_of(values, key); };
  options.help = values.count("help") > 0;
  options.version = values.count("version") > 0;
  options.overwrite = values.count("overwrite") > 0;
  options.quick = values.count("quick") > 0;
  options.output = text("output");
  if (options.output.empty() && !options.help && !options.version)
    violations.push_back({"--output", "", "must name the machine file to write, such as my.machine"});
  options.budget_seconds = static_cast<double>(options.quick ? quick_budget : default_budget);
  if (values.count("budget") > 0)
    options.budget_seconds = static_cast<double>(
        command_line::whole_number("--budget", text("budget"), 1, most_budget, violations).value_or(1));
  options.threads = static_cast<int>(
      command_line::whole_number("--threads", text("threads"), 1, most_threads, violations).value_or(1));
  config::RunOptions run;
  if (const auto wrong = config::read_key(run, "sync.ranks-per-node", text("ranks-per-node")); !wrong.empty())
    violations.push_back({"--ranks-per-node", text("ranks-per-node"), wrong});
  options.ranks_per_node = run.sync.ranks_per_node;
  return options;
}

std::string help_text() {
  std::ostringstream text;
  text << "Usage: mpiexec -n RANKS partita-calibrate --output=FILE [OPTIONS]\n\n"
          "Measures what this machine takes for kernels, messages, shared windows and what lies between "
          "them, and writes the\n"
          "machine file that predictions are made from. Kernels are timed inside the training steps of "
          "random networks, on one\n"
          "rank and on all at once. In the end the same steps are predicted from the file: the error of the "
          "model on what it\n"
          "was fitted to. Use at most one rank a core, and nothing beside it.\n\n"
       << described() << "\nExit codes: 0 success; 1 a fault; 2 bad input.\n";
  return text.str();
}

}  // namespace partita::calibrate
