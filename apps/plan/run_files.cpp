/// Numbers plans in the order of the search, and lists them in a table.
#include "run_files.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <span>
#include <sstream>

#include "partita/base/paths.hpp"
#include "partita/results/atomic_file.hpp"

namespace partita::plan_app {
namespace {

namespace fs = std::filesystem;

constexpr auto table_name = "plans.csv";

std::string file_name(std::size_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "plan-%03zu.ini", number);
  return text;
}

bool is_of_plans(const fs::path& file) {
  const auto name = file.filename().string();
  return name == table_name || (name.starts_with("plan-") && name.ends_with(".ini"));
}

/// Hidden ones are of who writes here: the lock, what a killed process left unfinished.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code unseen;
  for (const auto& entry : fs::directory_iterator(folder, unseen))
    if (!entry.path().filename().string().starts_with(".")) files.push_back(entry.path());
  return files;
}

}  // namespace

void write_run_file(const fs::path& path, const config::RunOptions& run) {
  const auto text = config::print_config(run);
  results::replace_file(path, std::as_bytes(std::span(text)), [&](std::span<const std::byte>) {
    std::vector<base::Violation> wrong;
    auto again = config::parse_text(text, wrong);
    again.machine_hash = run.machine_hash;  // of files that are not read again
    again.virtual_clock_hash = run.virtual_clock_hash;
    again.load_model_hash = run.load_model_hash;
    again.own_normalisation = run.own_normalisation;
    base::expect(wrong.empty() && config::meaning_of(again) == config::meaning_of(run),
                 "a plan is read back");
  });
}

std::vector<base::Violation> check_plans_folder(const fs::path& folder, bool overwrite) {
  const auto violation = [&](const std::string& message) {
    return std::vector{base::Violation{"write-all", folder.string(), message}};
  };
  if (const auto problem = base::folder_problem(folder); !problem.empty()) return violation(problem);
  std::error_code unseen;
  const auto parent = base::absolute(folder).parent_path();
  if (!fs::is_directory(parent, unseen))
    return violation("the folder " + parent.string() + " does not exist");
  const auto files = files_in(folder);
  const auto other = std::ranges::find_if_not(files, is_of_plans);
  if (other != files.end())
    return violation("holds " + other->filename().string() + ", which is not of plans; name a new folder");
  if (!files.empty() && !overwrite) return violation("holds plans; --overwrite replaces them");
  return {};
}

void write_run_files(const fs::path& folder, const config::RunOptions& run, const predict::Plans& plans) {
  base::refuse_path(folder, base::make_folders(folder));
  for (const auto& file : files_in(folder))
    base::refuse_path(file, base::remove_file(file));
  std::ostringstream table;
  table.precision(std::numeric_limits<double>::max_digits10);
  table << "file,plan,known_as,step_seconds\n";
  std::size_t number = 0;
  for (const auto& outcome : plans.outcomes) {
    if (outcome.fate != predict::Fate::simulated) continue;
    const auto name = file_name(++number);
    write_run_file(folder / name, predict::with(run, outcome.candidate));
    table << name << ",\"" << outcome.candidate.name() << "\"," << outcome.known_as << ","
          << *outcome.step_seconds << "\n";
  }
  results::replace_file(folder / table_name, table.view());
}

}  // namespace partita::plan_app
