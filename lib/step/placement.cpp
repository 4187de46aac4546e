/// What each kind of layer can do on the tensor axis, and the words for it.
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

Pair both(Placement placement) { return {placement, placement}; }
Placement plain(Spread spread) { return {.spread = spread}; }
const Pair replicated{plain(Spread::replicated), plain(Spread::replicated)};
const Pair lazy{plain(Spread::replicated), plain(Spread::partial)};
const Pair partial{plain(Spread::partial), plain(Spread::replicated)};

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

/// The largest share as a fraction of the whole.
double largest_share(const std::vector<std::int64_t>& offsets) {
  std::int64_t largest = 0;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
    largest = std::max(largest, offsets[i + 1] - offsets[i]);
  return static_cast<double>(largest) / static_cast<double>(std::max<std::int64_t>(1, offsets.back()));
}

}  // namespace

std::vector<std::int64_t> even_offsets(int ranks, std::int64_t n) {
  std::vector<std::int64_t> offsets;
  for (int r = 0; r <= ranks; ++r)
    offsets.push_back(topology::cut(r, ranks, n));
  return offsets;
}

std::vector<LayerPlacement> choices_of(const model::Layer& layer, const Pair& producer, int ranks) {
  return Choices(layer, producer, ranks).all();
}

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

}  // namespace partita::step
