/// The search for the cheapest chains of layers: of all chains that end in the same pair of placements only
/// those that take least time are kept, one for each way in which layer lines would name them.
#include "partita/plan/placement.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "layer_time.hpp"
#include "partita/base/error.hpp"
#include "partita/collective/rounds.hpp"
#include "partita/model/layer_kind.hpp"
#include "partita/plan/grid.hpp"
#include "partita/step/conversion.hpp"

namespace partita::plan {
namespace {

using kernels::DataType;
using kernels::Elements;
using step::LayerPlacement;
using step::ModelPlacement;
using step::Pair;
using step::Placement;
using step::Spread;
using step::Variant;

double bytes(Elements n) { return static_cast<double>(bytes_of(element_type, n).value()); }

const Pair replicated = both(step::plain(Spread::replicated));

bool allowed(const model::Layer& layer, Variant variant) {
  return layer.placement.empty() || layer.placement == word_of(variant);
}

/// How a layer's line names its variant; not where it only reorders elements: it may then carry sums, for
/// which there is no word, and follows its neighbours.
std::string_view named(const model::Layer& layer, Variant variant) {
  return layer.description().reads == model::Reads::reordered ? "" : word_of(variant);
}

/// The dynamic programme: the cheapest chains that end in each reachable output pair.
class Placer {
 public:
  Placer(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
         const machine::Machine& machine, Outputs outputs)
      : model_(model),
        grid_(grid),
        machine_(machine),
        outputs_(outputs),
        parts_(parts_in(machine, grid.size())),
        samples_(std::max<std::int64_t>(1, largest_share(grid, batch))),
        lowest_(model::lowest_trained_layer(model)) {}

  /// At most so many, no two of which layer lines name alike, the cheapest first.
  [[nodiscard]] std::vector<ModelPlacement> cheapest(std::size_t most) const {
    std::vector<Ending> endings{{.out = replicated, .chains = {Chain{}}},
                                {.out = both(step::plain(Spread::batch)), .chains = {Chain{}}}};
    for (int l = 0; l < static_cast<int>(model_.layers.size()); ++l)
      endings = extend(endings, l, most);
    std::vector<Chain> best;
    for (const auto& ending : endings)
      for (const auto& loss : losses()) {
        const double picoseconds =
            conversion_picoseconds(ending.out, both(loss), model_.layers.back().output, true) +
            loss_picoseconds(loss);
        for (auto chain : ending.chains) {
          chain.picoseconds += picoseconds;
          chain.loss = loss;
          keep(best, std::move(chain), most);
        }
      }
    base::expect(!best.empty(), "some placement is possible");
    std::vector<ModelPlacement> placements;
    for (const auto& chain : best)
      placements.push_back({.ranks = grid_.tensor, .layers = layers_of(chain), .loss = chain.loss});
    return placements;
  }

 private:
  /// A layer of a chain, and those before it, which other chains share.
  struct Link {
    std::shared_ptr<const LayerPlacement> layer;
    std::shared_ptr<const Link> before;
  };
  struct Chain {
    double picoseconds = 0;
    std::vector<std::string_view> words;  ///< how lines name it, a word a layer
    std::shared_ptr<const Link> last;
    Placement loss;
  };
  struct Ending {
    Pair out;
    std::vector<Chain> chains;  ///< the cheapest first
  };

  /// Of chains that are named alike the cheaper one stays, of equal ones that which came first.
  static void keep(std::vector<Chain>& kept, Chain chain, std::size_t most) {
    const auto same = std::ranges::find(kept, chain.words, &Chain::words);
    if (same != kept.end()) {
      if (same->picoseconds <= chain.picoseconds) return;
      kept.erase(same);
    }
    const auto place = std::ranges::upper_bound(kept, chain.picoseconds, {}, &Chain::picoseconds);
    kept.insert(place, std::move(chain));
    if (kept.size() > most) kept.pop_back();
  }

  static std::vector<LayerPlacement> layers_of(const Chain& chain) {
    std::vector<LayerPlacement> layers;
    for (const auto* link = chain.last.get(); link != nullptr; link = link->before.get())
      layers.push_back(*link->layer);
    std::ranges::reverse(layers);
    return layers;
  }

  [[nodiscard]] std::vector<Ending> extend(const std::vector<Ending>& endings, int l,
                                           std::size_t most) const {
    const auto& layer = model_.layers[static_cast<std::size_t>(l)];
    std::vector<Ending> extended;
    for (const auto& ending : endings)
      for (auto& choice : choices_of(layer, ending.out, grid_.tensor)) {
        if (!allowed(layer, choice.variant)) continue;
        // The data set is at hand on every rank: the network's input is loaded as it is wanted.
        const bool wanted_batch = choice.in.value.spread == Spread::batch;
        if (l == 0 && wanted_batch != (ending.out.value.spread == Spread::batch)) continue;
        const double picoseconds =
            (l == 0 ? 0 : conversion_picoseconds(ending.out, choice.in, layer.input, l > lowest_)) +
            layer_picoseconds(choice, l);
        const auto shared = std::make_shared<const LayerPlacement>(std::move(choice));
        auto longer = std::ranges::find(extended, shared->out, &Ending::out);
        if (longer == extended.end()) longer = extended.insert(longer, {.out = shared->out, .chains = {}});
        for (const auto& chain : ending.chains) {
          Chain with{.picoseconds = chain.picoseconds + picoseconds,
                     .words = chain.words,
                     .last = std::make_shared<const Link>(Link{shared, chain.last}),
                     .loss = {}};
          with.words.push_back(named(layer, shared->variant));
          keep(longer->chains, std::move(with), most);
        }
      }
    return extended;
  }

  std::vector<Placement> losses() const {
    std::vector<Placement> all{step::plain(Spread::replicated), step::plain(Spread::batch)};
    if (model_.loss == model::Loss::cross_entropy && outputs_ == Outputs::any)
      all.push_back(
          {.spread = Spread::channel,
           .offsets = collective::even_cuts(grid_.tensor, model_.layers.back().output.elements().value())});
    return all;
  }

  double transfer_picoseconds(const Placement& from, const Placement& to, const kernels::Shape& shape) const {
    const auto moved = Elements(step::moved_elements({from, to, shape}, grid_.tensor, samples_));
    if (moved == Elements(0)) return 0;
    return cost::picoseconds_of_transfer(bytes(moved) / grid_.tensor, machine_);
  }
  double conversion_picoseconds(const Pair& from, const Pair& to, const kernels::Shape& shape,
                                bool backward) const {
    return transfer_picoseconds(from.value, to.value, shape) +
           (backward ? transfer_picoseconds(to.gradient, from.gradient, shape) : 0);
  }

  /// Ranks that share the classes tell each other three numbers a sample.
  double loss_picoseconds(const Placement& loss) const {
    return loss.spread == Spread::channel ? cost::picoseconds_of_transfer(0, machine_) : 0;
  }

  /// Sums over the ranks that have a share of the samples, forward and where a gradient goes further down.
  double statistics_picoseconds(const LayerPlacement& choice, int l) const {
    const auto& layer = model_.layers[static_cast<std::size_t>(l)];
    const double ranks = grid_.data * (step::cuts_of(choice.variant).of_channel() ? grid_.tensor : 1);
    if (!layer.takes_statistics() || ranks == 1) return 0;
    const double share = step::cuts_of(choice.variant).outputs ? 1.0 / grid_.tensor : 1.0;
    const double sums = share * static_cast<double>(bytes_of(DataType::float64, layer.statistics()).value());
    return (l > lowest_ ? 2 : 1) * cost::picoseconds_of_transfer(2 * (ranks - 1) / ranks * sums, machine_);
  }

  /// On the slowest of the job's machines: shares are equal, whatever the ranks are.
  template <class OfMachine>
  double longest(const OfMachine& picoseconds) const {
    double most = 0;
    for (const int part : parts_)
      most = std::max(most, picoseconds(machine_.of_part(part)));
    return most;
  }

  double layer_picoseconds(const LayerPlacement& choice, int l) const {
    const PlacedLayer placed{model_, l, choice, grid_.tensor};
    const auto trained = trained_of_rank(placed);
    double picoseconds = longest([&](const machine::Machine& machine) {
      const double passes = passes_picoseconds(placed, samples_, machine);
      if (trained == Elements(0)) return passes;
      return passes + cost::picoseconds_of(cost::work_of_update(trained, element_type), machine);
    });
    picoseconds += statistics_picoseconds(choice, l);
    if (trained == Elements(0)) return picoseconds;
    const double ranks = grid_.data * (gradients_are_partial(choice.variant) ? grid_.tensor : 1);
    if (ranks > 1)
      picoseconds += cost::picoseconds_of_transfer(2 * (ranks - 1) / ranks * bytes(trained), machine_);
    return picoseconds;
  }

  const model::ModelSpec& model_;
  topology::GridExtent grid_;
  const machine::Machine& machine_;
  Outputs outputs_;
  std::vector<int> parts_;  ///< of the machine, of which the job has ranks
  std::int64_t samples_;
  int lowest_;
};

}  // namespace

std::vector<ModelPlacement> placements(const model::ModelSpec& model, const topology::GridExtent& grid,
                                       std::int64_t batch, const machine::Machine& machine, Outputs outputs,
                                       std::size_t most) {
  if (grid.tensor > 1) return Placer(model, grid, batch, machine, outputs).cheapest(most);
  ModelPlacement one;
  one.layers.assign(model.layers.size(),
                    {.variant = Variant::replicated, .in = replicated, .out = replicated});
  return {std::move(one)};
}

ModelPlacement place(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
                     const machine::Machine& machine, Outputs outputs) {
  return std::move(placements(model, grid, batch, machine, outputs, 1).front());
}

std::vector<std::string> words_of(const model::ModelSpec& model, const ModelPlacement& placement) {
  std::vector<std::string> words;
  for (std::size_t l = 0; l < model.layers.size(); ++l)
    words.emplace_back(named(model.layers[l], placement.layers[l].variant));
  return words;
}

}  // namespace partita::plan
