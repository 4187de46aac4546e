/// Reads the options and groups, refuses all that is wrong with them together, and holds the text of --help,
/// which says how verdicts come about.
#include "options.hpp"

#include <cmath>
#include <sstream>

#include "partita/base/number.hpp"
#include "partita/command_line/command_line.hpp"
#include "partita/config/options.hpp"

namespace partita::compare {
namespace {

namespace po = command_line::po;
using Violations = std::vector<base::Violation>;

po::options_description described() {
  po::options_description options("Options", 100);
  options.add_options()("format", po::value<std::string>()->default_value("table"),
                        "table, csv, json or markdown")(
      "metric", po::value<command_line::Words>()->value_name("NAME"),
      "compare this metric only, or this family (phase, wire_bytes.data); may be repeated")(
      "threshold", po::value<std::string>()->default_value("2"), "percent below which no change is flagged")(
      "reference", po::value<command_line::Words>()->value_name("METRIC=TARGET,LOWER,UPPER[,UNIT]"),
      "what the median must be, as ReFrame writes it: bounds are fractions of the target such as -0.05 and "
      "0.05, either may be empty or None; may be repeated. Applies to every group but the first, or to the "
      "only one")("no-gate", "report only: exit 0 even when something became worse")(
      "force", "show runs of different workloads beside each other; their verdicts are `incomparable`")(
      "help,h", "this text")("version", "version and commit");
  return options;
}

double parse_threshold(const std::string& text, Violations& violations) {
  const auto value = base::number_of<double>(text);
  if (!value || !std::isfinite(*value) || *value < 0)
    violations.push_back({"--threshold", text, "must be a number of percent, 0 or more"});
  return value.value_or(0);
}

Format parse_format(const std::string& text, Violations& violations) {
  if (text == "csv") return Format::csv;
  if (text == "json") return Format::json;
  if (text == "markdown") return Format::markdown;
  if (text != "table") violations.push_back({"--format", text, "must be table, csv, json or markdown"});
  return Format::table;
}

}  // namespace

Options parse(int argc, const char* const* argv, Violations& violations) {
  po::variables_map values;
  try {
    values = command_line::parse(command_line::words_of(argc, argv), described(), "groups");
  } catch (const base::ConfigError& wrong) {
    violations = wrong.violations();
    return {};
  }
  Options options{.gate = values.count("no-gate") == 0,
                  .force = values.count("force") > 0,
                  .help = values.count("help") > 0,
                  .version = values.count("version") > 0};
  if (options.help || options.version) return options;
  options.format = parse_format(command_line::text_of(values, "format"), violations);
  options.comparison.threshold_percent =
      parse_threshold(command_line::text_of(values, "threshold"), violations);
  options.comparison.metrics = command_line::words_of(values, "metric");
  options.comparison.role_of = config::role_of;
  for (const auto& text : command_line::words_of(values, "reference"))
    if (auto reference = results::parse_reference("--reference", text, violations))
      options.references.push_back(std::move(*reference));
  for (const auto& text : command_line::words_of(values, "groups"))
    options.groups.push_back(group_of(text, violations));
  const std::size_t least = values.count("reference") > 0 ? 1 : 2;
  if (options.groups.size() < least)
    violations.push_back({"command line", "",
                          "name at least two result files or groups to compare, or one and a --reference "
                          "(see --help)"});
  if (violations.empty()) shorten_names(options.groups);
  return options;
}

std::string usage() {
  std::ostringstream text;
  text
      << "partita-compare A.h5 B.h5 [C.h5 …]             one run each: the spread within a run, no verdict\n"
         "partita-compare old=a1.h5,a2.h5,… new=b1.h5,…  repetitions: verdicts from five runs a side\n"
         "partita-compare old='runs/old-*.h5' new=…       files by pattern, in natural order\n"
         "partita-compare new=b1.h5,… --reference …      against absolute targets\n\n"
         "A file that exists is meant as it is written; else \\ takes , = * ? [ and \\ by themselves.\n"
         "Compares every later run or group with the first; the unit is a run. A change is better or worse\n"
         "when the Mann–Whitney test over runs gives p < 0.05 and the median moves beyond the threshold\n"
         "(accuracy: 0.15 percentage points). The p values of the gated metrics (*) are corrected together\n"
         "(Holm: sound however they depend on each other), so that equal runs are flagged in at most 5 % of\n"
         "all comparisons; the other metrics explain, each with its own p. Bytes are compared exactly where\n"
         "grid, algorithm, batch and steps agree. The geometric mean is over the gated times and rates, as\n"
         "times. Runs that differ in their grid only get a table of speed-up and efficiency: strong scaling\n"
         "where the global batch is equal, weak where the batch of a data rank is.\n\n"
      << described()
      << "\nExit status: 0; 1 when a metric marked with * became worse (not with --no-gate) or "
         "a reference does not hold\nor the output cannot be written; 2 for bad input.\n";
  return text.str();
}

}  // namespace partita::compare
