#include "partita/step/partition.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace partita::step {
namespace {

/// The costliest chunk first, then what the boundaries carry.
struct Cost {
  double costliest = std::numeric_limits<double>::infinity(), carried = 0;
  friend auto operator<=>(const Cost&, const Cost&) = default;
};

bool pinned_elsewhere(const model::ModelSpec& model, int first, int end, int chunk) {
  for (int l = first; l < end; ++l) {
    const auto& stage = model.layers[static_cast<std::size_t>(l)].stage;
    if (stage && *stage != chunk) return true;
  }
  return false;
}

}  // namespace

std::vector<double> layer_costs(const model::ModelSpec& model, const ModelPlacement& placement) {
  const int lowest = lowest_trained_layer(model);
  std::vector<double> costs;
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const auto& layer = model.layers[l];
    const int passes = 1 + (layer.is_trained() ? 1 : 0) + (static_cast<int>(l) > lowest ? 1 : 0);
    costs.push_back(passes * busiest_flops(layer, placement.layers[l], placement.ranks));
  }
  return costs;
}

Partition partition(const model::ModelSpec& model, const ModelPlacement& placement, int chunks,
                    std::vector<base::Violation>& violations) {
  const int layers = static_cast<int>(model.layers.size());
  if (chunks > layers) {
    violations.push_back({"grid.pipeline", std::to_string(chunks),
                          model.name + " has " + std::to_string(layers) +
                              " layers, too few for so many stages or chunks; the nearest is " +
                              std::to_string(layers)});
    return {};
  }
  const auto costs = layer_costs(model, placement);
  std::vector<double> sum(costs.size() + 1, 0);
  std::partial_sum(costs.begin(), costs.end(), sum.begin() + 1);
  const auto boundary = [&](int l) {
    const auto& layer = model.layers[static_cast<std::size_t>(l)];
    return static_cast<double>(layer.input.elements().value()) +
           (layer.kind == model::LayerKind::relu ? 1 : 0);
  };
  // best[k][l]: layers [0, l) in k chunks.
  const auto width = static_cast<std::size_t>(layers) + 1;
  std::vector<std::vector<Cost>> best(static_cast<std::size_t>(chunks) + 1, std::vector<Cost>(width));
  std::vector<std::vector<int>> cut(best.size(), std::vector<int>(width, -1));
  best[0][0] = {.costliest = 0};
  for (int k = 1; k <= chunks; ++k)
    for (int end = k; end <= layers; ++end)
      for (int first = k - 1; first < end; ++first) {
        const auto& before = best[static_cast<std::size_t>(k) - 1][static_cast<std::size_t>(first)];
        if (before.costliest == std::numeric_limits<double>::infinity()) continue;
        if (pinned_elsewhere(model, first, end, k - 1)) continue;
        const Cost with{std::max(before.costliest,
                                 sum[static_cast<std::size_t>(end)] - sum[static_cast<std::size_t>(first)]),
                        before.carried + (first > 0 ? boundary(first) : 0)};
        auto& current = best[static_cast<std::size_t>(k)][static_cast<std::size_t>(end)];
        if (current <= with) continue;
        current = with;
        cut[static_cast<std::size_t>(k)][static_cast<std::size_t>(end)] = first;
      }
  if (cut.back().back() < 0) {
    violations.push_back({"model.layer", "stage=",
                          "the stages asked for cannot be cut from the chain: they must ascend from 0 to " +
                              std::to_string(chunks - 1) + " and leave every stage a layer"});
    return {};
  }
  Partition first(static_cast<std::size_t>(chunks) + 1, layers);
  for (int k = chunks; k > 0; --k)
    first[static_cast<std::size_t>(k) - 1] =
        cut[static_cast<std::size_t>(k)][static_cast<std::size_t>(first[static_cast<std::size_t>(k)])];
  return first;
}

}  // namespace partita::step
