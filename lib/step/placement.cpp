/// What each kind of layer can do on the tensor axis, and the search for the cheapest chain of layers: of all
/// chains that end in the same pair of placements only the one with the fewest seconds is kept.
#include "partita/step/placement.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "partita/base/error.hpp"
#include "partita/kernels/data_type.hpp"
#include "partita/model/layer_kind.hpp"
#include "partita/step/conversion.hpp"

namespace partita::step {
namespace {

constexpr double bytes_per_element = 4;  // the choice is the same for every type

std::vector<std::int64_t> even_offsets(int ranks, std::int64_t n) {
  std::vector<std::int64_t> offsets;
  for (int r = 0; r <= ranks; ++r)
    offsets.push_back(topology::cut(r, ranks, n));
  return offsets;
}

Pair both(Placement placement) { return {placement, placement}; }
Placement plain(Spread spread) { return {.spread = spread}; }
const Pair replicated{plain(Spread::replicated), plain(Spread::replicated)};
const Pair lazy{plain(Spread::replicated), plain(Spread::partial)};
const Pair partial{plain(Spread::partial), plain(Spread::replicated)};

/// Everything that a layer can do, given what its producer delivers (whose offsets are kept where they fit).
class Choices {
 public:
  Choices(const model::Layer& layer, const Pair& producer, int ranks)
      : layer_(layer), producer_(producer), ranks_(ranks) {
    switch (layer.description().reads) {
      case model::Reads::all_channels:
        of_sums();
        break;
      case model::Reads::reordered:
        of_flatten();
        break;
      case model::Reads::own_channel:
        of_carrier();
        break;
    }
  }
  [[nodiscard]] const std::vector<LayerPlacement>& all() const { return all_; }

 private:
  void add(Variant variant, Pair in, Pair out) { all_.push_back({variant, std::move(in), std::move(out)}); }
  [[nodiscard]] std::int64_t input_channels() const { return layer_.input[0]; }
  /// Channels as the producer cuts them, or evenly.
  [[nodiscard]] Pair input_shards() const {
    if (producer_.value.spread == Spread::channel) return both(producer_.value);
    return both({.spread = Spread::channel, .offsets = even_offsets(ranks_, input_channels())});
  }
  [[nodiscard]] Pair output_rows() const {
    return both({.spread = Spread::height, .offsets = even_offsets(ranks_, layer_.output[1])});
  }
  [[nodiscard]] Pair window() const {
    return both({.spread = Spread::window,
                 .offsets = even_offsets(ranks_, layer_.output[1]),
                 .kernel = layer_.kernel.h,
                 .stride = layer_.stride.h,
                 .padding = layer_.padding});
  }
  void of_every_layer() {
    add(Variant::replicated, replicated, replicated);
    add(Variant::lazy, lazy, lazy);
    add(Variant::batch, both(plain(Spread::batch)), both(plain(Spread::batch)));
  }
  void of_sums() {
    of_every_layer();
    add(Variant::column, lazy,
        both({.spread = Spread::channel, .offsets = even_offsets(ranks_, layer_.out)}));
    add(Variant::row, input_shards(), partial);
    if (layer_.description().has_windows) add(Variant::height, window(), output_rows());
  }
  void of_flatten() {
    of_every_layer();
    if (producer_ == partial) add(Variant::row, partial, partial);
    const Pair in = input_shards();
    Pair out = in;
    const std::int64_t pixels = layer_.input.elements().value() / std::max<std::int64_t>(1, input_channels());
    for (auto* placement : {&out.value, &out.gradient})
      for (auto& offset : placement->offsets)
        offset *= pixels;
    add(Variant::column, in, out);
  }
  void of_carrier() {
    of_every_layer();
    add(Variant::column, input_shards(), input_shards());
    if (layer_.input.rank() != 3) return;
    if (layer_.description().has_windows) {
      add(Variant::height, window(), output_rows());
    } else {
      const Pair rows = producer_.value.spread == Spread::height ? both(producer_.value) : output_rows();
      add(Variant::height, rows, rows);
    }
  }

  const model::Layer& layer_;
  const Pair& producer_;
  int ranks_;
  std::vector<LayerPlacement> all_;
};

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
        lowest_(lowest_trained_layer(model)) {}

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
      const Choices choices(layer, chain.out, grid_.tensor);
      for (const auto& choice : choices.all()) {
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
      all.push_back({.spread = Spread::channel,
                     .offsets = even_offsets(grid_.tensor, model_.layers.back().output.elements().value())});
    return all;
  }

  double transfer_seconds(const Placement& from, const Placement& to, const kernels::Shape& shape) const {
    const auto moved = moved_elements({from, to, shape}, grid_.tensor, samples_);
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
    // An update reads w, g and a state and writes w and the state.
    return seconds + 5 * bytes / rates_.memory_bytes_per_second;
  }

  const model::ModelSpec& model_;
  topology::GridExtent grid_;
  MachineRates rates_;
  Outputs outputs_;
  std::int64_t samples_;
  int lowest_;
};

/// The largest share as a fraction of the whole.
double largest_share(const std::vector<std::int64_t>& offsets) {
  std::int64_t largest = 0;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
    largest = std::max(largest, offsets[i + 1] - offsets[i]);
  return static_cast<double>(largest) / static_cast<double>(std::max<std::int64_t>(1, offsets.back()));
}

}  // namespace

std::string_view to_string(Spread spread) {
  switch (spread) {
    case Spread::replicated:
      return "replicated";
    case Spread::partial:
      return "partial";
    case Spread::batch:
      return "sharded(batch)";
    case Spread::channel:
      return "sharded(channel";
    case Spread::height:
      return "sharded(height";
    case Spread::window:
      return "window(height";
  }
  return "unknown";
}

std::string_view to_string(Variant variant) {
  switch (variant) {
    case Variant::replicated:
      return "replicated";
    case Variant::lazy:
      return "lazy";
    case Variant::batch:
      return "batch";
    case Variant::column:
      return "column";
    case Variant::row:
      return "row";
    case Variant::height:
      return "height";
  }
  return "unknown";
}

std::string to_string(const Placement& placement) {
  std::string text(to_string(placement.spread));
  for (const auto offset : placement.offsets)
    text += " " + std::to_string(offset);
  return placement.offsets.empty() ? text : text + ")";
}

double busiest_flops(const model::Layer& layer, const LayerPlacement& placement, int ranks) {
  const double whole = layer.forward_flops();
  switch (placement.variant) {
    case Variant::replicated:
    case Variant::lazy:
      return whole;
    case Variant::batch:
      return whole / ranks;
    case Variant::column:
      return whole * largest_share(placement.out.value.offsets);
    case Variant::row:
      return placement.in.value.offsets.empty() ? whole : whole * largest_share(placement.in.value.offsets);
    case Variant::height:
      return whole * largest_share(placement.out.value.offsets);
  }
  return whole;
}

int lowest_trained_layer(const model::ModelSpec& model) {
  for (std::size_t l = 0; l < model.layers.size(); ++l)
    if (model.layers[l].is_trained()) return static_cast<int>(l);
  return static_cast<int>(model.layers.size());
}

ModelPlacement place(const model::ModelSpec& model, const topology::GridExtent& grid, std::int64_t batch,
                     const MachineRates& rates, Outputs outputs) {
  if (grid.tensor > 1) return Placer(model, grid, batch, rates, outputs).cheapest();
  ModelPlacement one;
  one.layers.assign(model.layers.size(),
                    {.variant = Variant::replicated, .in = replicated, .out = replicated});
  return one;
}

}  // namespace partita::step
