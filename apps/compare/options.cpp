#include "options.hpp"

#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>

namespace partita::compare {
namespace {

namespace po = boost::program_options;
using Violations = std::vector<base::Violation>;

po::options_description described() {
  po::options_description options("Options");
  options.add_options()("format", po::value<std::string>()->default_value("table"), "table, csv or json")(
      "threshold", po::value<std::string>()->default_value("5"), "percent below which no change is flagged")(
      "no-gate", "report only: exit 0 even when something became worse")(
      "force", "show runs of different workloads beside each other; their verdicts are `incomparable`")(
      "help,h", "this text")("version", "version and commit");
  return options;
}

/// "name=a,b" is a group unless a file of that whole name exists.
GroupArgument group_of(const std::string& text, Violations& violations) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || std::filesystem::exists(text)) return {.name = text, .files = {text}};
  GroupArgument group{.name = text.substr(0, equals), .files = {}};
  std::istringstream list(text.substr(equals + 1));
  for (std::string file; std::getline(list, file, ',');)
    if (!file.empty()) group.files.push_back(file);
  if (group.name.empty() || group.files.empty())
    violations.push_back({text, "", "a group is NAME=FILE,FILE,…"});
  return group;
}

/// Files are shown by their stems where these tell them apart.
void shorten_names(std::vector<GroupArgument>& groups) {
  std::set<std::string> stems;
  for (const auto& group : groups)
    stems.insert(std::filesystem::path(group.name).stem().string());
  if (stems.size() != groups.size()) return;
  for (auto& group : groups)
    if (group.files.front() == group.name) group.name = std::filesystem::path(group.name).stem().string();
}

double parse_threshold(const std::string& text, Violations& violations) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < 0)
    violations.push_back({"--threshold", text, "must be a number of percent, 0 or more"});
  return value;
}

Format parse_format(const std::string& text, Violations& violations) {
  if (text == "csv") return Format::csv;
  if (text == "json") return Format::json;
  if (text != "table") violations.push_back({"--format", text, "must be table, csv or json"});
  return Format::table;
}

po::variables_map stored(int argc, const char* const* argv) {
  auto all = described();
  all.add_options()("groups", po::value<std::vector<std::string>>());
  po::positional_options_description positions;
  positions.add("groups", -1);
  namespace style = po::command_line_style;
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv)
                  .options(all)
                  .positional(positions)
                  .style(style::unix_style & ~style::allow_guessing)
                  .run(),
              values);
  } catch (const po::error& wrong) {
    throw base::ConfigError({{"command line", "", wrong.what()}});
  }
  return values;
}

}  // namespace

Options parse(int argc, const char* const* argv) {
  const auto values = stored(argc, argv);
  Options options{.gate = values.count("no-gate") == 0,
                  .force = values.count("force") > 0,
                  .help = values.count("help") > 0,
                  .version = values.count("version") > 0};
  if (options.help || options.version) return options;
  Violations violations;
  options.format = parse_format(values["format"].as<std::string>(), violations);
  options.comparison.threshold_percent = parse_threshold(values["threshold"].as<std::string>(), violations);
  if (values.count("groups") > 0)
    for (const auto& text : values["groups"].as<std::vector<std::string>>())
      options.groups.push_back(group_of(text, violations));
  if (options.groups.size() < 2)
    violations.push_back(
        {"command line", "", "name at least two result files or groups to compare (see --help)"});
  if (!violations.empty()) throw base::ConfigError(violations);
  shorten_names(options.groups);
  return options;
}

std::string usage() {
  std::ostringstream text;
  text
      << "partita-compare A.h5 B.h5 [C.h5 …]             one run each: the spread within a run, no verdict\n"
         "partita-compare old=a1.h5,a2.h5,… new=b1.h5,…  repetitions: verdicts from five runs a side\n\n"
         "Compares every later run or group with the first. A change is flagged as better or worse when the\n"
         "Mann–Whitney test over runs gives p < 0.05 and the median moves beyond the threshold (accuracy: "
         "0.15\n"
         "percentage points). Bytes are compared exactly where grid, algorithm, batch and steps agree.\n\n"
      << described()
      << "\nExit status: 0; 1 when a metric marked with * became worse (not with --no-gate); 2 for bad "
         "input.\n";
  return text.str();
}

}  // namespace partita::compare
