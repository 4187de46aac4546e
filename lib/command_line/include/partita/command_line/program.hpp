/// The frame of every program: what becomes of its standard output, and of what its work throws.
#pragma once

#include <functional>
#include <string_view>

namespace partita::command_line {

/// Exit codes that all programs share.
enum ExitCode { success = 0, failed = 1, bad_input = 2 };

/// Runs `work` and gives the exit code of `main`.
///
/// What is thrown is printed on standard error behind the program's name: `base::ConfigError` ends with 2,
/// anything else with 1. A reader of standard output that leaves (`| head`) stops nothing: SIGPIPE is
/// ignored, the work goes on, and the exit code is the work's own. Where standard output refuses what is
/// written for any other reason (a full disk, a closed descriptor) work that succeeded ends with 1, which is
/// said on standard error.
int run(std::string_view name, const std::function<int()>& work);

}  // namespace partita::command_line
