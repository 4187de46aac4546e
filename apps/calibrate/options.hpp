/// The command line of partita-calibrate.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::calibrate {

struct Options {
  bool help = false, version = false, overwrite = false, quick = false;
  std::filesystem::path output;
  double budget_seconds = 180;
  int threads = 1;         ///< of a rank
  int ranks_per_node = 0;  ///< imitated nodes; 0: the real ones
};

/// Appends whatever is wrong to `violations`.
Options parse(int argc, char** argv, std::vector<base::Violation>& violations);
std::string help_text();

}  // namespace partita::calibrate
