/// Grids by rules of thumb, before anything is weighed.
#include "partita/plan/grid.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace partita::plan {
namespace {

/// The world's prime factors, largest first, dealt to data, pipeline and tensor in turn; no more stages than
/// the layers allow. The deterministic mode has no tensor axis, and data ranks that divide its grains; whole
/// tensors need no more of it.
topology::GridExtent hybrid_grid(int ranks, const GridLimits& limits) {
  std::vector<int> factors;
  for (int f = 2; ranks > 1; ++f)
    for (; ranks % f == 0; ranks /= f)
      factors.push_back(f);
  const bool deterministic = limits.grains > 0;
  const bool has_tensor_axis = !deterministic && !limits.whole_tensors;
  topology::GridExtent grid;
  int next = 0;
  for (auto f = factors.rbegin(); f != factors.rend(); ++f, ++next) {
    const bool fits_data = !deterministic || limits.grains % (grid.data * *f) == 0;
    if ((next % 3 == 1 || !fits_data) && grid.pipeline * *f <= limits.most_stages)
      grid.pipeline *= *f;
    else
      (next % 3 == 2 && has_tensor_axis ? grid.tensor : grid.data) *= *f;
  }
  return grid;
}

}  // namespace

std::string_view to_string(Strategy strategy) {
  static constexpr std::array<std::string_view, 6> names{"none", "data", "layer", "tensor", "hybrid", "auto"};
  return names[static_cast<std::size_t>(strategy)];
}

topology::GridExtent grid_of(Strategy strategy, int ranks, const GridLimits& limits) {
  switch (strategy) {
    case Strategy::layer:
      return {.pipeline = ranks};
    case Strategy::tensor:
      return {.tensor = ranks};
    case Strategy::hybrid:
      return hybrid_grid(ranks, limits);
    case Strategy::data:
    case Strategy::automatic:
    case Strategy::none:
      break;
  }
  return {.data = ranks};
}

std::int64_t largest_share(const topology::GridExtent& grid, std::int64_t batch) {
  return step::largest_share(grid, {}, batch);
}

int default_microbatches(const topology::GridExtent& grid, std::int64_t batch) {
  return default_microbatches(grid, {}, batch);
}

int default_microbatches(const topology::GridExtent& grid, const step::Weights& weights, std::int64_t batch) {
  if (grid.pipeline == 1) return 1;
  return static_cast<int>(
      std::min(std::int64_t{4} * grid.pipeline, step::largest_share(grid, weights, batch)));
}

}  // namespace partita::plan
