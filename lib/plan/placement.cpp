/// The search for the cheapest chain of layers: of all chains that end in the same pair of placements only
/// the one that takes least time is kept.
#include "partita/plan/placement.hpp"

#include <algorithm>
#include <optional>

#include "layer_time.hpp"
#include "partita/base/error.hpp"
#include "partita/collective/rounds.hpp"
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

/// The dynamic programme: the cheapest chain that ends in each reachable output pair.
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

  ModelPlacement cheapest() {
    std::vector<Chain> chains{{.out = replicated}, {.out = both(step::plain(Spread::batch))}};
    for (int l = 0; l < static_cast<int>(model_.layers.size()); ++l)
      chains = extend(chains, l);
    std::optional<Chain> best;
    Placement best_loss;
    for (const auto& chain : chains)
      for (const auto& loss : losses()) {
        const double picoseconds =
            chain.picoseconds +
            conversion_picoseconds(chain.out, both(loss), model_.layers.back().output, true) +
            loss_picoseconds(loss);
        if (best && picoseconds >= best->picoseconds) continue;
        best = chain;
        best->picoseconds = picoseconds;
        best_loss = loss;
      }
    base::expect(best.has_value(), "some placement is possible");
    return {.ranks = grid_.tensor, .layers = std::move(best->layers), .loss = best_loss};
  }

 private:
  struct Chain {
    Pair out;
    double picoseconds = 0;
    std::vector<LayerPlacement> layers;
  };

  std::vector<Chain> extend(const std::vector<Chain>& chains, int l) {
    const auto& layer = model_.layers[static_cast<std::size_t>(l)];
    std::vector<Chain> extended;
    for (const auto& chain : chains) {
      for (const auto& choice : choices_of(layer, chain.out, grid_.tensor)) {
        if (!allowed(layer, choice.variant)) continue;
        // The data set is at hand on every rank: the network's input is loaded as it is wanted.
        const bool wanted_batch = choice.in.value.spread == Spread::batch;
        if (l == 0 && wanted_batch != (chain.out.value.spread == Spread::batch)) continue;
        const double picoseconds =
            chain.picoseconds +
            (l == 0 ? 0 : conversion_picoseconds(chain.out, choice.in, layer.input, l > lowest_)) +
            layer_picoseconds(choice, l);
        const auto same = std::find_if(extended.begin(), extended.end(),
                                       [&](const Chain& other) { return other.out == choice.out; });
        if (same != extended.end() && same->picoseconds <= picoseconds) continue;
        Chain longer{.out = choice.out, .picoseconds = picoseconds, .layers = chain.layers};
        longer.layers.push_back(choice);
        if (same != extended.end())
          *same = std::move(longer);
        else
          extended.push_back(std::move(longer));
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

ModelPlacement place(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
                     const machine::Machine& machine, Outputs outputs) {
  if (grid.tensor > 1) return Placer(model, grid, batch, machine, outputs).cheapest();
  ModelPlacement one;
  one.layers.assign(model.layers.size(),
                    {.variant = Variant::replicated, .in = replicated, .out = replicated});
  return one;
}

}  // namespace partita::plan
