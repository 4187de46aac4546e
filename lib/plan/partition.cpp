/// Dynamic programming over (chunks, layers) that keeps the best cuts of each state, several times: first how
/// little the costliest chunk of the best cuts takes, then, for each of these times from the least on, which
/// of the cuts that keep to it carry fewest values across boundaries, of these the most even ones. (In one go
/// the costliest chunk so far would decide, which a later one may outdo.)
#include "partita/plan/partition.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
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

  /// Of all that keep to `stage=` the `most` best, the best first; fewer where there are not so many.
  [[nodiscard]] std::vector<Partition> best(std::size_t most) const {
    std::vector<Partition> all;
    for (const double least : costliest_chunks(most))
      for (auto& found : within(least, most))
        if (all.size() < most && std::ranges::find(all, found) == all.end()) all.push_back(std::move(found));
    return all;
  }

 private:
  /// The last chunk of a cut so far: its first layer, and which of the cuts before it this one goes on from.
  struct Last {
    Cost cost;
    int first = 0;
    std::size_t before = 0;
  };
  /// The cheapest cuts of layers [0, l) into k chunks, by k and l, at most so many, the cheapest first.
  using Table = std::vector<std::vector<std::vector<Last>>>;

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

  /// What the costliest chunks of the `most` cuts take in which it takes least: each time once, ascending.
  [[nodiscard]] std::vector<double> costliest_chunks(std::size_t most) const {
    const auto table = search(most, [&](const Cost& before, int chunk, int first, int end) {
      return Cost{std::max(before.first, picoseconds(chunk, first, end))};
    });
    std::vector<double> times;
    for (const auto& cut : table.back().back())
      if (times.empty() || times.back() < cut.cost.first) times.push_back(cut.cost.first);
    return times;
  }

  /// Of the cuts of which no chunk takes longer than `least` those that carry fewest values.
  [[nodiscard]] std::vector<Partition> within(double least, std::size_t most) const {
    const auto table = search(most, [&](const Cost& before, int chunk, int first, int end) {
      const double time = picoseconds(chunk, first, end);
      return time > least ? Cost{} : Cost{before.first + carried_into(first), before.second + time * time};
    });
    std::vector<Partition> all;
    for (std::size_t cut = 0; cut < table.back().back().size(); ++cut)
      all.push_back(partition_of(table, cut));
    return all;
  }

  /// The cheapest partitions, where `extended` is the cost of one whose last chunk is [first, end) behind
  /// that many chunks of cost `before`; of equals those that begin their last chunks first.
  template <class Extended>
  [[nodiscard]] Table search(std::size_t most, const Extended& extended) const {
    const auto width = static_cast<std::size_t>(layers_) + 1;
    Table table(static_cast<std::size_t>(chunks_) + 1, std::vector<std::vector<Last>>(width));
    table[0][0] = {{.cost = {0}}};
    for (int k = 0; k < chunks_; ++k)
      for (int end = k + 1; end <= layers_; ++end)
        for (int first = k; first < end; ++first) {
          const auto& fewer = table[static_cast<std::size_t>(k)][static_cast<std::size_t>(first)];
          if (fewer.empty() || (stages_ > 1 && pinned_elsewhere(model_, first, end, k % stages_))) continue;
          auto& kept = table[static_cast<std::size_t>(k) + 1][static_cast<std::size_t>(end)];
          for (std::size_t before = 0; before < fewer.size(); ++before)
            keep(kept, {extended(fewer[before].cost, k, first, end), first, before}, most);
        }
    return table;
  }

  static void keep(std::vector<Last>& kept, const Last& cut, std::size_t most) {
    if (cut.cost.first == impossible || (kept.size() == most && cut.cost >= kept.back().cost)) return;
    kept.insert(std::ranges::upper_bound(kept, cut.cost, {}, &Last::cost), cut);
    if (kept.size() > most) kept.pop_back();
  }

  [[nodiscard]] Partition partition_of(const Table& table, std::size_t cut) const {
    Partition partition(static_cast<std::size_t>(chunks_) + 1, layers_);
    for (auto k = partition.size() - 1; k > 0; --k) {
      const auto& last = table[k][static_cast<std::size_t>(partition[k])][cut];
      partition[k - 1] = last.first;
      cut = last.before;
    }
    return partition;
  }

  const model::ModelSpec& model_;
  int stages_, chunks_;
  const std::vector<Paces>& paces_;  ///< by stage
  int layers_;
  const TimesBefore& before_;
};

}  // namespace

std::vector<Partition> partitions(const model::ModelSpec& model, const ModelPlacement& placement,
                                  const Cut& asked, const machine::Machine& machine, std::size_t most,
                                  std::vector<base::Violation>& violations) {
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
  auto best = Partitions(model, asked, paces, before).best(most);
  if (best.empty()) refuse_stages(model, stages, violations);
  return best;
}

Partition partition(const model::ModelSpec& model, const ModelPlacement& placement, const Cut& asked,
                    const machine::Machine& machine, std::vector<base::Violation>& violations) {
  auto best = partitions(model, placement, asked, machine, 1, violations);
  return best.empty() ? Partition() : std::move(best.front());
}

}  // namespace partita::plan
