/// partita-compare: lays the result files of two or more runs beside each other.
///
/// Data on stdout, messages on stderr. Exit 0; 1 when a gated metric became worse; 2 for bad input.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "options.hpp"
#include "partita/results/result_file.hpp"
#include "partita/results/version.hpp"
#include "print.hpp"

namespace {

using namespace partita;

constexpr int exit_regression = 1, exit_bad_input = 2;

/// Reads all files of all groups, or throws with every file that cannot be read.
std::vector<results::RunGroup> read_groups(const std::vector<compare::GroupArgument>& arguments) {
  std::vector<results::RunGroup> groups;
  std::vector<base::Violation> violations;
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
  if (!violations.empty()) throw base::ConfigError(violations);
  return groups;
}

void note_unfinished(const std::vector<results::RunGroup>& groups) {
  for (const auto& group : groups)
    for (const auto& run : group.runs)
      if (run.record.attributes.status != results::Status::complete)
        std::cerr << "partita-compare: note: " << run.path.string() << " has status "
                  << to_string(run.record.attributes.status) << '\n';
}

bool wants_color() { return isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr; }

void print(const compare::Options& options, const std::vector<compare::Comparison>& comparisons) {
  const double threshold = options.comparison.threshold_percent;
  switch (options.format) {
    case compare::Format::table:
      return compare::print_table(std::cout, comparisons, threshold, wants_color());
    case compare::Format::csv:
      return compare::print_csv(std::cout, comparisons);
    case compare::Format::json:
      return compare::print_json(std::cout, comparisons, threshold);
  }
}

int run(int argc, char** argv) {
  const auto options = compare::parse(argc, argv);
  if (options.help) return std::cout << compare::usage(), EXIT_SUCCESS;
  if (options.version) {
    const auto build = results::version();
    std::cout << "partita-compare " << build.software_version << " (" << build.git_commit
              << (build.git_dirty ? ", modified" : "") << ")\n";
    return EXIT_SUCCESS;
  }
  const auto groups = read_groups(options.groups);
  auto differences = results::check_comparable(groups);
  if (!differences.empty() && !options.force) {
    differences.push_back({"--force", "", "shows such runs beside each other nevertheless"});
    throw base::ConfigError(differences);
  }
  note_unfinished(groups);
  std::vector<compare::Comparison> comparisons;
  bool regression = false;
  for (std::size_t g = 1; g < groups.size(); ++g) {
    comparisons.push_back({.before = &groups[0],
                           .after = &groups[g],
                           .metrics = results::compare(groups[0], groups[g], options.comparison)});
    regression = regression || results::has_regression(comparisons.back().metrics);
  }
  print(options, comparisons);
  if (!std::cout.flush()) throw base::EnvironmentError("write", EIO, "standard output");
  return regression && options.gate ? exit_regression : EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& wrong) {
    std::cerr << "partita-compare: " << wrong.what() << '\n';
    return exit_bad_input;
  }
}
