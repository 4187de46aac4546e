/// The search for the cheapest chain of layers: of all chains that end in the same pair of placements only
/// the one with the fewest seconds is kept.
#include "partita/plan/placement.hpp"

#include <algorithm>
#include <optional>

#include "partita/base/error.hpp"
#include "partita/step/conversion.hpp"

namespace partita::plan {
namespace {

using step::LayerPlacement;
using step::MachineRates;
using step::ModelPlacement;
using step::Pair;
using step::Placement;
using step::Spread;
using step::Variant;

constexpr double bytes_per_element = 4;  // the choice is the same for every type

Pair both(Placement placement) { return {placement, placement}; }
Placement plain(Spread spread) { return {.spread = spread}; }
const Pair replicated{plain(Spread::replicated), plain(Spread::replicated)};

bool allowed(const model::Layer& layer, Variant variant) {
  if (layer.placement.empty()) return true;
  return layer.placement == to_string(variant) ||
         (layer.placement == "replicated" && variant == Variant::lazy);
}

/// The dynamic programme: the cheapest chain that ends in each reachable output pair.
class Placer {
 public:
  Placer(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
         const MachineRates& rates, Outputs outputs)
      : model_(model),
        grid_(grid),
        rates_(rates),
        outputs_(outputs),
        samples_(std::max<std::int64_t>(1, (batch + grid.data - 1) / grid.data)),
        lowest_(step::lowest_trained_layer(model)) {}

  ModelPlacement cheapest() {
    std::vector<Chain> chains{{.out = replicated}, {.out = both(plain(Spread::batch))}};
    for (int l = 0; l < static_cast<int>(model_.layers.size()); ++l)
      chains = extend(chains, l);
    std::optional<Chain> best;
    Placement best_loss;
    for (const auto& chain : chains)
      for (const auto& loss : losses()) {
        const double seconds = chain.seconds +
                               conversion_seconds(chain.out, both(loss), model_.layers.back().output, true) +
                               loss_seconds(loss);
        if (best && seconds >= best->seconds) continue;
        best = chain;
        best->seconds = seconds;
        best_loss = loss;
      }
    base::expect(best.has_value(), "some placement is possible");
    return {.ranks = grid_.tensor,
            .layers = std::move(best->layers),
            .loss = best_loss,
            .seconds = best->seconds};
  }

 private:
  struct Chain {
    Pair out;
    double seconds = 0;
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
        const double seconds =
            chain.seconds +
            (l == 0 ? 0 : conversion_seconds(chain.out, choice.in, layer.input, l > lowest_)) +
            layer_seconds(layer, choice, l);
        const auto same = std::find_if(extended.begin(), extended.end(),
                                       [&](const Chain& other) { return other.out == choice.out; });
        if (same != extended.end() && same->seconds <= seconds) continue;
        Chain longer{.out = choice.out, .seconds = seconds, .layers = chain.layers};
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
    std::vector<Placement> all{plain(Spread::replicated), plain(Spread::batch)};
    if (model_.loss == model::Loss::cross_entropy && outputs_ == Outputs::any)
      all.push_back(
          {.spread = Spread::channel,
           .offsets = step::even_offsets(grid_.tensor, model_.layers.back().output.elements().value())});
    return all;
  }

  double transfer_seconds(const Placement& from, const Placement& to, const kernels::Shape& shape) const {
    const auto moved = step::moved_elements({from, to, shape}, grid_.tensor, samples_);
    if (moved == 0) return 0;
    return rates_.latency_seconds +
           static_cast<double>(moved) * bytes_per_element / grid_.tensor / rates_.tensor_bytes_per_second;
  }
  double conversion_seconds(const Pair& from, const Pair& to, const kernels::Shape& shape,
                            bool backward) const {
    return transfer_seconds(from.value, to.value, shape) +
           (backward ? transfer_seconds(to.gradient, from.gradient, shape) : 0);
  }

  double loss_seconds(const Placement& loss) const {
    return loss.spread == Spread::channel ? rates_.latency_seconds : 0;
  }

  double layer_seconds(const model::Layer& layer, const LayerPlacement& choice, int l) const {
    const int passes = 1 + (layer.is_trained() ? 1 : 0) + (l > lowest_ ? 1 : 0);
    double seconds = busiest_flops(layer, choice, grid_.tensor) * static_cast<double>(samples_) * passes /
                     rates_.flops_per_second;
    if (!layer.is_trained()) return seconds;
    const bool sharded = choice.variant == Variant::column || choice.variant == Variant::row;
    const double bytes = static_cast<double>(layer.parameter_elements().value()) * bytes_per_element /
                         (sharded ? grid_.tensor : 1);
    const double ranks = grid_.data * (gradients_are_partial(choice.variant) ? grid_.tensor : 1);
    if (ranks > 1)
      seconds += rates_.latency_seconds + 2 * (ranks - 1) / ranks * bytes / rates_.data_bytes_per_second;
    return seconds + 5 * bytes / rates_.memory_bytes_per_second;  // the update reads w, g, v and writes w, v
  }

  const model::ModelSpec& model_;
  topology::GridExtent grid_;
  MachineRates rates_;
  Outputs outputs_;
  std::int64_t samples_;
  int lowest_;
};

}  // namespace

ModelPlacement place(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
                     const MachineRates& rates, Outputs outputs) {
  if (grid.tensor > 1) return Placer(model, grid, batch, rates, outputs).cheapest();
  ModelPlacement one;
  one.layers.assign(model.layers.size(),
                    {.variant = Variant::replicated, .in = replicated, .out = replicated});
  return one;
}

}  // namespace partita::plan
