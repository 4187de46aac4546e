/// Which grid a strategy stands for, and into how many micro-batches a batch is cut where nobody says it.
#pragma once

#include <cstdint>
#include <string_view>

#include "partita/step/plan.hpp"
#include "partita/topology/grid.hpp"

namespace partita::plan {

/// Classical words for a grid. `hybrid` deals the world's prime factors, largest first, to data, pipeline and
/// tensor in turn; `automatic` leaves the choice to a search, and is all data until it has been made.
enum class Strategy { none, data, layer, tensor, hybrid, automatic };
std::string_view to_string(Strategy);

/// What a hybrid grid keeps to.
struct GridLimits {
  int most_stages = 1;
  /// Of the deterministic mode: data ranks that divide them, and no tensor axis; 0: off.
  int grains = 0;
  bool whole_tensors = false;  ///< no tensor axis
};

/// The grid of `ranks` ranks; without a strategy all lie on the data axis.
topology::GridExtent grid_of(Strategy, int ranks, const GridLimits&);

/// Samples of the busiest of data ranks that take as many.
std::int64_t largest_share(const topology::GridExtent&, std::int64_t batch);

/// Micro-batches of a data rank: 1 on one stage, else 4 a stage, as far as a share of the batch goes.
int default_microbatches(const topology::GridExtent&, std::int64_t batch);
int default_microbatches(const topology::GridExtent&, const step::Weights&, std::int64_t batch);

}  // namespace partita::plan
