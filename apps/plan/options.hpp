/// The options of partita-plan besides the keys of a run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "partita/job/own_options.hpp"
#include "partita/predict/search.hpp"

namespace partita::plan_app {

struct Options {
  int ranks = 1;
  predict::SearchOptions search;
  bool may_guess = true;            ///< times of kernels that were not measured
  std::filesystem::path write;      ///< the run file of the best plan; empty: none
  std::filesystem::path write_all;  ///< a folder for those of all that are simulated; empty: none
  job::CommandLine line;
};

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations);

std::string usage();

}  // namespace partita::plan_app
