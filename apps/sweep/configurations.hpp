/// The configurations of a sweep: which there are, and what is wrong with any of them.
#pragma once

#include <string>
#include <vector>

#include "options.hpp"
#include "partita/job/job.hpp"

namespace partita::sweep {

/// One run of the sweep, as partita-train would do it.
struct Configuration {
  int number = 0;                  ///< from 1
  int group = 0;                   ///< from 1; the same for configurations that differ in the seed only
  Assignments varied;              ///< key and value, seed last where it repeats
  std::vector<std::string> words;  ///< the command line of partita-train
  std::filesystem::path file;      ///< the result
  job::Input input;
  std::string hash;

  [[nodiscard]] std::string command_line() const;
  /// "train.learning-rate=0.1 train.seed=3".
  [[nodiscard]] std::string values() const;
};

/// All configurations in their order: the last varied key changes fastest, seeds faster still. Appends what
/// is wrong with them, each violation once, with the numbers of the configurations that have it unless all
/// do.
std::vector<Configuration> configurations_of(const Options&, job::DataSets&,
                                             std::vector<base::Violation>& violations);

/// Whether a configuration is this shard's.
bool belongs(const Configuration&, const Shard&);

}  // namespace partita::sweep
