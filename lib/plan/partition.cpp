/// Dynamic programming over (chunks, layers): the cheapest cut of the first layers into k chunks extends the
/// cheapest ones into k − 1. Among equals the cut wins that carries fewer values across boundaries.
#include "partita/plan/partition.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "layer_time.hpp"
#include "partita/model/layer_kind.hpp"

namespace partita::plan {
namespace {

using step::ModelPlacement;
using step::Partition;

/// The costliest chunk first, then what the boundaries carry.
struct Cost {
  double costliest = std::numeric_limits<double>::infinity(), carried = 0;
  friend auto operator<=>(const Cost&, const Cost&) = default;
};

bool pinned_elsewhere(const model::ModelSpec& model, int first, int end, int stage) {
  for (int l = first; l < end; ++l) {
    const auto& wanted = model.layers[static_cast<std::size_t>(l)].stage;
    if (wanted && *wanted != stage) return true;
  }
  return false;
}

std::string number(int n) { return std::to_string(n); }

base::Violation too_many(const model::ModelSpec& model, int stages, int chunks_of_stage) {
  const int layers = static_cast<int>(model.layers.size());
  const std::string why = model.name + " has " + number(layers) + " layers, fewer than ";
  if (stages > layers || chunks_of_stage == 1)
    return {"grid.pipeline", number(stages), why + "stages; the nearest is " + number(layers)};
  return {"pipeline.chunks", number(chunks_of_stage),
          why + number(stages * chunks_of_stage) + " chunks; the nearest is " + number(layers / stages)};
}

/// The layers whose `stage=` cannot be: beyond the last stage, or, when none is, all that are pinned.
void refuse_stages(const model::ModelSpec& model, int stages, std::vector<base::Violation>& violations) {
  const auto before = violations.size();
  for (const bool beyond : {true, false}) {
    for (std::size_t l = 0; l < model.layers.size(); ++l) {
      const auto& layer = model.layers[l];
      if (!layer.stage || (beyond && *layer.stage < stages)) continue;
      violations.push_back(
          {"model.layer " + number(static_cast<int>(l) + 1), layer.line(),
           beyond ? "there are " + number(stages) + " stages; the nearest is stage=" + number(stages - 1)
                  : "the stages asked for cannot be cut from the chain: they must ascend with the layers "
                    "and leave every stage a layer"});
    }
    if (violations.size() > before) return;
  }
}

/// Time of all passes of a step over each layer; the update, which comes when the pipeline has run empty, is
/// none.
std::vector<double> layer_times(const model::ModelSpec& model, const ModelPlacement& placement,
                                std::int64_t samples, const machine::Machine& machine) {
  std::vector<double> picoseconds;
  for (int l = 0; l < static_cast<int>(model.layers.size()); ++l)
    picoseconds.push_back(passes_picoseconds(
        {model, l, placement.layers[static_cast<std::size_t>(l)], placement.ranks}, samples, machine));
  return picoseconds;
}

}  // namespace

Partition partition(const model::ModelSpec& model, const ModelPlacement& placement, const Cut& asked,
                    const machine::Machine& machine, std::vector<base::Violation>& violations) {
  const auto [stages, chunks_of_stage, samples] = asked;
  const int layers = static_cast<int>(model.layers.size());
  if (std::int64_t{stages} * chunks_of_stage > layers) {
    violations.push_back(too_many(model, stages, chunks_of_stage));
    return {};
  }
  const int chunks = stages * chunks_of_stage;
  const auto costs = layer_times(model, placement, samples, machine);
  std::vector<double> sum(costs.size() + 1, 0);
  std::partial_sum(costs.begin(), costs.end(), sum.begin() + 1);
  const auto boundary = [&](int l) {
    const auto& layer = model.layers[static_cast<std::size_t>(l)];
    return static_cast<double>(layer.input.elements().value()) + (layer.description().is_epilogue ? 1 : 0);
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
        if (stages > 1 && pinned_elsewhere(model, first, end, (k - 1) % stages)) continue;
        const Cost with{std::max(before.costliest,
                                 sum[static_cast<std::size_t>(end)] - sum[static_cast<std::size_t>(first)]),
                        before.carried + (first > 0 ? boundary(first) : 0)};
        auto& current = best[static_cast<std::size_t>(k)][static_cast<std::size_t>(end)];
        if (current <= with) continue;
        current = with;
        cut[static_cast<std::size_t>(k)][static_cast<std::size_t>(end)] = first;
      }
  if (cut.back().back() < 0) {
    refuse_stages(model, stages, violations);
    return {};
  }
  Partition first(static_cast<std::size_t>(chunks) + 1, layers);
  for (int k = chunks; k > 0; --k)
    first[static_cast<std::size_t>(k) - 1] =
        cut[static_cast<std::size_t>(k)][static_cast<std::size_t>(first[static_cast<std::size_t>(k)])];
  return first;
}

}  // namespace partita::plan
