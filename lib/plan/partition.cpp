/// Dynamic programming over (chunks, layers), twice: first how little the costliest chunk can take, then, of
/// all cuts that keep to it, the one that carries fewest values across boundaries, of these the most even
/// one. (In one go the costliest chunk so far would decide, which a later one may outdo.)
#include "partita/plan/partition.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "layer_time.hpp"
#include "partita/model/layer_kind.hpp"

namespace partita::plan {
namespace {

using step::ModelPlacement;
using step::Partition;

constexpr double impossible = std::numeric_limits<double>::infinity();

/// Of a cut so far: what counts, then what decides among equals.
struct Cost {
  double first = impossible, second = 0;
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

/// Picoseconds of all passes of a step over layers [0, l); the update, which comes when the pipeline has run
/// empty, is none.
std::vector<double> times_before(const model::ModelSpec& model, const ModelPlacement& placement,
                                 std::int64_t samples, const machine::Machine& machine) {
  std::vector<double> sums{0};
  for (int l = 0; l < static_cast<int>(model.layers.size()); ++l)
    sums.push_back(sums.back() + passes_picoseconds({model, l, placement.layers[static_cast<std::size_t>(l)],
                                                     placement.ranks},
                                                    samples, machine));
  return sums;
}

/// By part of the machine, of those that the stages have.
using TimesBefore = std::map<int, std::vector<double>>;

/// All partitions of a model's layers into chunks.
class Partitions {
 public:
  Partitions(const model::ModelSpec& model, const Cut& asked, const std::vector<Paces>& paces,
             const TimesBefore& before)
      : model_(model),
        stages_(asked.stages),
        chunks_(asked.stages * asked.chunks_of_stage),
        paces_(paces),
        layers_(static_cast<int>(model.layers.size())),
        before_(before) {}

  /// Of all that keep to `stage=` the best; nothing when none does.
  [[nodiscard]] std::optional<Partition> best() const {
    const double least = search([&](const Cost& before, int chunk, int first, int end) {
                           return Cost{std::max(before.first, picoseconds(chunk, first, end))};
                         }).cost.first;
    if (least == impossible) return std::nullopt;
    return search([&](const Cost& before, int chunk, int first, int end) {
             const double time = picoseconds(chunk, first, end);
             return time > least ? Cost{}
                                 : Cost{before.first + carried_into(first), before.second + time * time};
           })
        .partition;
  }

 private:
  struct Found {
    Cost cost;
    Partition partition;
  };

  [[nodiscard]] double picoseconds(int chunk, int first, int end) const {
    double longest = 0;
    for (const auto& [part, speed] : paces_[static_cast<std::size_t>(chunk % stages_)]) {
      const auto& before = before_.at(part);
      const double time = before[static_cast<std::size_t>(end)] - before[static_cast<std::size_t>(first)];
      longest = std::max(longest, time / speed);
    }
    return longest;
  }
  /// Over the boundary before a layer; an epilogue that is parted from the layer before it counts as one
  /// more.
  [[nodiscard]] double carried_into(int layer) const {
    if (layer == 0) return 0;
    const auto& l = model_.layers[static_cast<std::size_t>(layer)];
    return static_cast<double>(l.input.elements().value()) + (l.description().is_epilogue ? 1 : 0);
  }

  /// The cheapest partition, where `extended` is the cost of one whose last chunk is [first, end) behind
  /// that many chunks of cost `before`; of equals the one that begins its last chunks first.
  template <class Extended>
  [[nodiscard]] Found search(const Extended& extended) const {
    const auto width = static_cast<std::size_t>(layers_) + 1;
    std::vector<Cost> cost(width);  // of layers [0, l) in k chunks
    cost[0] = {0};
    std::vector<std::vector<int>> begin(static_cast<std::size_t>(chunks_), std::vector<int>(width, -1));
    for (int k = 0; k < chunks_; ++k) {
      const auto before = std::exchange(cost, std::vector<Cost>(width));
      for (int end = k + 1; end <= layers_; ++end)
        for (int first = k; first < end; ++first) {
          const Cost& fewer = before[static_cast<std::size_t>(first)];
          if (fewer.first == impossible) continue;
          if (stages_ > 1 && pinned_elsewhere(model_, first, end, k % stages_)) continue;
          const Cost with = extended(fewer, k, first, end);
          if (with >= cost[static_cast<std::size_t>(end)]) continue;
          cost[static_cast<std::size_t>(end)] = with;
          begin[static_cast<std::size_t>(k)][static_cast<std::size_t>(end)] = first;
        }
    }
    Found found{.cost = cost.back(), .partition = Partition(static_cast<std::size_t>(chunks_) + 1, layers_)};
    for (auto k = begin.size(); found.cost.first < impossible && k-- > 0;)
      found.partition[k] = begin[k][static_cast<std::size_t>(found.partition[k + 1])];
    return found;
  }

  const model::ModelSpec& model_;
  int stages_, chunks_;
  const std::vector<Paces>& paces_;  ///< by stage
  int layers_;
  const TimesBefore& before_;
};

}  // namespace

Partition partition(const model::ModelSpec& model, const ModelPlacement& placement, const Cut& asked,
                    const machine::Machine& machine, std::vector<base::Violation>& violations) {
  const int stages = asked.stages, chunks_of_stage = asked.chunks_of_stage;
  if (std::int64_t{stages} * chunks_of_stage > std::ssize(model.layers)) {
    violations.push_back(too_many(model, stages, chunks_of_stage));
    return {};
  }
  const auto paces =
      asked.paces.empty() ? std::vector<Paces>(static_cast<std::size_t>(stages), {{0, 1}}) : asked.paces;
  TimesBefore before;
  for (const auto& of_stage : paces)
    for (const auto& [part, speed] : of_stage)
      if (auto& times = before[part]; times.empty())
        times = times_before(model, placement, asked.samples, machine.of_part(part));
  auto best = Partitions(model, asked, paces, before).best();
  if (best) return std::move(*best);
  refuse_stages(model, stages, violations);
  return {};
}

}  // namespace partita::plan
