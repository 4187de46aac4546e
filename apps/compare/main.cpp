/// partita-compare: lays the result files of two or more runs beside each other.
///
/// Data on stdout, messages on stderr. Exit 0; 1 when a gated metric became worse or a reference does
/// not hold, or when the report cannot be written; 2 for bad input.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>

#include "options.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/base/utf8.hpp"
#include "partita/base/version.hpp"
#include "partita/command_line/program.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/version.hpp"
#include "print.hpp"

namespace {

using namespace partita;

using Violations = std::vector<base::Violation>;

/// Reads all files of all groups; every file that cannot be read is a violation.
std::vector<results::RunGroup> read_groups(const std::vector<compare::GroupArgument>& arguments,
                                           Violations& violations) {
  std::vector<results::RunGroup> groups;
  for (const auto& argument : arguments) {
    auto& group = groups.emplace_back(results::RunGroup{.name = argument.name, .runs = {}});
    for (const auto& file : argument.files) {
      try {
        group.runs.push_back({.path = file, .record = results::read(file)});
      } catch (const base::ConfigError& wrong) {
        violations.insert(violations.end(), wrong.violations().begin(), wrong.violations().end());
      } catch (const base::EnvironmentError& refused) {
        violations.push_back(
            {file, "", "cannot be read: " + std::string(std::strerror(static_cast<int>(refused.code())))});
      }
    }
  }
  return groups;
}

/// Selected metrics that a file lacks; one that no file has is named once, with the nearest that some have.
void check_metrics(const std::vector<std::string>& selected, const std::vector<results::RunGroup>& groups,
                   Violations& violations) {
  const auto names_of = [](const results::Run& run) {
    std::vector<std::string> names;
    for (const auto& metric : results::metrics_of(run.record))
      names.push_back(metric.name);
    return names;
  };
  for (const auto& wanted : selected) {
    std::vector<std::string> lacking, all;
    bool found = false;
    for (const auto& group : groups)
      for (const auto& run : group.runs) {
        const auto names = names_of(run);
        all.insert(all.end(), names.begin(), names.end());
        const bool has = std::ranges::any_of(
            names, [&](const std::string& name) { return results::names_metric(wanted, name); });
        found = found || has;
        if (!has) lacking.push_back(run.path.string());
      }
    if (found)
      for (const auto& path : lacking)
        violations.push_back({path, "", "has no metric " + wanted});
    else
      violations.push_back(
          {"--metric", wanted,
           "no file has it" +
               (all.empty() ? std::string() : "; the nearest is " + results::nearest_name(wanted, all))});
  }
}

void note_unfinished(const std::vector<results::RunGroup>& groups) {
  for (const auto& group : groups)
    for (const auto& run : group.runs)
      if (run.record.attributes.status != results::Status::complete)
        std::cerr << "partita-compare: note: " << base::as_line(run.path.string()) << " has status "
                  << to_string(run.record.attributes.status) << '\n';
}

bool wants_color() { return isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr; }

void print(std::ostream& out, const compare::Options& options, const compare::Report& report) {
  switch (options.format) {
    case compare::Format::table:
      return compare::print_table(out, report, wants_color());
    case compare::Format::csv:
      return compare::print_csv(out, report);
    case compare::Format::json:
      return compare::print_json(out, report);
    case compare::Format::markdown:
      return compare::print_markdown(out, report);
  }
}

/// Groups that can be laid beside each other, or an error that names all that is wrong.
std::vector<results::RunGroup> checked_groups(const compare::Options& options, Violations violations) {
  auto groups = read_groups(options.groups, violations);
  for (auto& twice : results::check_named_once(groups))
    violations.push_back(std::move(twice));
  if (!violations.empty()) throw base::ConfigError(violations);
  check_metrics(options.comparison.metrics, groups, violations);
  auto differences = results::check_comparable(groups, options.comparison.role_of);
  if (!differences.empty() && !options.force) {
    differences.push_back({"--force", "", "shows such runs beside each other nevertheless"});
    violations.insert(violations.end(), differences.begin(), differences.end());
  }
  if (!violations.empty()) throw base::ConfigError(violations);
  return groups;
}

int run(int argc, char** argv) {
  Violations violations;
  const auto options = compare::parse(argc, argv, violations);
  if (options.help) return std::cout << compare::usage(), command_line::success;
  if (options.version)
    return std::cout << base::version_text("partita-compare", {{"hdf5", results::hdf5_version()}}),
           command_line::success;
  const auto groups = checked_groups(options, violations);
  compare::Report report{.threshold_percent = options.comparison.threshold_percent};
  for (std::size_t g = groups.size() == 1 ? 0 : 1; g < groups.size(); ++g) {
    const auto checked = results::check_references(options.references, groups[g], violations);
    report.references.insert(report.references.end(), checked.begin(), checked.end());
  }
  if (!violations.empty()) throw base::ConfigError(violations);
  note_unfinished(groups);
  bool worse = false;
  for (std::size_t g = 1; g < groups.size(); ++g) {
    report.comparisons.push_back(
        {.before = &groups[0],
         .after = &groups[g],
         .metrics = results::compare(groups[0], groups[g], options.comparison),
         .differences = results::configuration_differences(
             groups[0].runs.front().record, groups[g].runs.front().record, options.comparison.role_of)});
    worse = worse || results::has_regression(report.comparisons.back().metrics);
  }
  report.scaling = results::scaling_table(groups, options.comparison.role_of);
  std::ostringstream text;
  print(text, options, report);
  const bool is_utf8 = options.format != compare::Format::csv;  // each string was made so
  std::cout << (is_utf8 ? text.str() : base::as_utf8(text.str()));
  const bool holds = std::ranges::all_of(report.references, &results::CheckedReference::holds);
  return (worse && options.gate) || !holds ? command_line::failed : command_line::success;
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-compare");
  return command_line::run("partita-compare", [&] { return run(argc, argv); });
}
