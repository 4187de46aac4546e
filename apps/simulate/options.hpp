/// The options of partita-simulate besides the keys of a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "export.hpp"
#include "partita/job/own_options.hpp"
#include "partita/predict/failures.hpp"
#include "partita/predict/noise.hpp"

namespace partita::simulate {

/// Of one node; what is not given the machine's rate of checkpoints says.
struct NodeFailures {
  double mtbf_seconds = 0;
  std::optional<double> checkpoint_seconds, restart_seconds;
  [[nodiscard]] bool needs_rate() const { return !checkpoint_seconds || !restart_seconds; }
};

struct Options {
  int ranks = 0;                               ///< 0: see `job::read_described_input`
  std::optional<std::pair<int, int>> scaling;  ///< first and last number of ranks
  bool noise = false;
  std::optional<double> deviation;  ///< of the noise within a run; without: as the machine's kernels scatter
  std::optional<NodeFailures> failures;
  std::string what_if;  ///< see `predict::suppose`
  std::optional<Export> exported;
  bool may_guess = true;  ///< times of kernels that were not measured
  job::CommandLine line;
};

/// What is asked of the machine that its file does not say, or does not have; of a training on so many ranks,
/// of which so many are servers.
std::vector<base::Violation> check(const Options&, const machine::Machine&, std::int64_t ranks, int servers);

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations);

std::string usage();

}  // namespace partita::simulate
