/// The run files of plans.
#pragma once

#include <filesystem>
#include <vector>

#include "partita/config/options.hpp"
#include "partita/predict/search.hpp"

namespace partita::plan_app {

/// Replaces the file by that of a run, read back before.
void write_run_file(const std::filesystem::path&, const config::RunOptions&);

/// What keeps run files of plans from being written into a folder, which is made where its parent is there:
/// anything in it, unless they may `overwrite` earlier ones.
std::vector<base::Violation> check_plans_folder(const std::filesystem::path&, bool overwrite);

/// A run file for each simulated plan, "plan-001.ini" the first, and "plans.csv" with the columns `file`,
/// `plan`, `known_as` and `step_seconds`, as it is predicted. Earlier ones are removed.
void write_run_files(const std::filesystem::path& folder, const config::RunOptions&, const predict::Plans&);

}  // namespace partita::plan_app
