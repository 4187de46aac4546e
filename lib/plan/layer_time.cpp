/// Each rank's share is what the lowering would give it. What a layer has besides its products (a bias, which
/// of a layer whose inputs are cut one rank alone adds, and all update) counts as if it were cut as they are.
#include "layer_time.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "partita/step/build.hpp"
#include "partita/step/conversion.hpp"

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

/// That on which a rank's work depends.
using Share = std::array<std::int64_t, 7>;

Share share_on(const PlacedLayer& placed, int rank, std::int64_t samples) {
  const auto& layer = whole(placed);
  const auto in = step::storage_of(placed.placement.in.value, layer.input, rank, placed.ranks, 1);
  const auto out = step::storage_of(placed.placement.out.value, layer.output, rank, placed.ranks, 1);
  return {samples,         in.channels.size(), in.rows.size(), in.columns.size(), out.channels.size(),
          out.rows.size(), out.columns.size()};
}

}  // namespace

double passes_picoseconds(const PlacedLayer& placed, std::int64_t samples, const machine::Machine& machine) {
  double longest = 0;
  std::optional<Share> before;
  for (int rank = 0; rank < placed.ranks; ++rank) {
    const auto mine = step::cuts_of(placed.placement.variant).samples
                          ? topology::share(rank, placed.ranks, samples).size()
                          : samples;
    // Neighbours have equal shares, mostly.
    if (const auto share = share_on(placed, rank, mine); std::exchange(before, share) == share) continue;
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
