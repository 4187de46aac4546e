/// What a sweep prints at its end.
#pragma once

#include <ostream>

#include "row.hpp"

namespace partita::sweep {

/// The group of configurations, equal but for the seed, with the best mean: the highest test accuracy, where
/// there is none the lowest test loss, else the lowest training loss.
struct Best {
  int group = 0;
  std::string figure;
  double mean = 0;
  std::vector<int> numbers;  ///< over these complete configurations
};
std::optional<Best> best_of(const std::vector<Configuration>&, const std::vector<Row>&);

/// The configurations and what varies.
void print_list(std::ostream&, const Options&, const std::vector<Configuration>&);

/// A line per configuration, the best ones, and how to compare repetitions.
void print_table(std::ostream&, const std::vector<Configuration>&, const std::vector<Row>&);

/// Why the sweep failed: configurations that did; empty: none.
std::string failure_of(const std::vector<Row>&);

/// Counts, seconds, the best mean.
std::vector<results::Figure> figures_of(const std::vector<Configuration>&, const std::vector<Row>&,
                                        double seconds);

}  // namespace partita::sweep
