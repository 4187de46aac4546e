/// The options of partita-simulate besides the keys of a run.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "export.hpp"
#include "partita/job/own_options.hpp"
#include "partita/predict/failures.hpp"

namespace partita::simulate {

struct Options {
  int ranks = 0;                               ///< 0: as many as the grid of the run
  std::optional<std::pair<int, int>> scaling;  ///< first and last number of ranks
  std::optional<double> noise;                 ///< see `predict::Noise`
  std::optional<predict::Failures> failures;   ///< of one node
  std::string what_if;                         ///< see `predict::suppose`
  std::optional<Export> exported;
  bool may_guess = true;  ///< times of kernels that were not measured
  job::CommandLine line;
};

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations);

std::string usage();

}  // namespace partita::simulate
