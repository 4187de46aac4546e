/// The command line of partita-simulate: its own options, and the keys of a run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::simulate {

/// That the model of every rank and round takes.
inline constexpr int most_ranks = 4096;

struct Options {
  int ranks = 0;                 ///< 0: as many as the grid that the run's keys name
  std::vector<std::string> run;  ///< the words that are keys and switches of a run
};

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations);

std::string usage();

}  // namespace partita::simulate
