/// Each rank's share is what the lowering would give it. What a layer has besides its products (a bias, which
/// of a layer whose inputs are cut one rank alone adds, and all update) counts as if it were cut as they are.
#include "layer_time.hpp"

#include <algorithm>

#include "partita/step/build.hpp"

namespace partita::plan {
namespace {

const model::Layer& whole(const PlacedLayer& placed) {
  return placed.model.layers[static_cast<std::size_t>(placed.layer)];
}

cost::Work work_on(const PlacedLayer& placed, int rank, std::int64_t samples) {
  const auto unit = step::share_of(placed.model, placed.layer, placed.placement, rank, placed.ranks);
  if (unit.idle) return {};
  auto work = cost::work_of(unit.local, samples, element_type);
  if (step::cuts_of(unit.variant).inputs && unit.local.has_parameters())
    work.flops = cost::work_of(whole(placed), samples, element_type).flops *
                 static_cast<double>(unit.local.input.elements().value()) /
                 static_cast<double>(whole(placed).input.elements().value());
  return work;
}

}  // namespace

double passes_picoseconds(const PlacedLayer& placed, std::int64_t samples, const machine::Machine& machine) {
  double longest = 0;
  for (int rank = 0; rank < placed.ranks; ++rank) {
    const auto mine = step::cuts_of(placed.placement.variant).samples
                          ? topology::share(rank, placed.ranks, samples).size()
                          : samples;
    if (mine > 0) longest = std::max(longest, cost::picoseconds_of(work_on(placed, rank, mine), machine));
  }
  return model::passes_over(placed.model, placed.layer) * longest;
}

kernels::Elements trained_of_rank(const PlacedLayer& placed) {
  if (!whole(placed).is_trained()) return {};
  const int shares = step::cuts_of(placed.placement.variant).of_parameters() ? placed.ranks : 1;
  return kernels::Elements((whole(placed).parameter_elements().value() + shares - 1) / shares);
}

}  // namespace partita::plan
