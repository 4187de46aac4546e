/// What each kind of layer can do on the tensor axis, and the words for it.
#include "partita/step/placement.hpp"

#include <algorithm>

#include "partita/collective/rounds.hpp"
#include "partita/model/layer_kind.hpp"
#include "partita/topology/cut.hpp"

namespace partita::step {
namespace {

const Pair replicated = both(plain(Spread::replicated));
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
  /// What the layer can do by its description; sums of others' parts can be carried by any that adds nothing.
  void add(Variant variant, Pair in, Pair out) {
    const auto& words = layer_.description().placements;
    if (in == partial || std::find(words.begin(), words.end(), word_of(variant)) != words.end())
      all_.push_back({variant, std::move(in), std::move(out)});
  }
  [[nodiscard]] std::int64_t input_channels() const { return layer_.input[0]; }
  /// Channels as the producer cuts them, or evenly.
  [[nodiscard]] Pair input_shards() const {
    if (producer_.value.spread == Spread::channel) return both(producer_.value);
    return both({.spread = Spread::channel, .offsets = collective::even_cuts(ranks_, input_channels())});
  }
  [[nodiscard]] Pair output_rows() const {
    return both({.spread = Spread::height, .offsets = collective::even_cuts(ranks_, layer_.output[1])});
  }
  [[nodiscard]] Pair window() const {
    return both({.spread = Spread::window,
                 .offsets = collective::even_cuts(ranks_, layer_.output[1]),
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
        both({.spread = Spread::channel, .offsets = collective::even_cuts(ranks_, layer_.out)}));
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

}  // namespace

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

std::string_view word_of(Variant variant) {
  return to_string(variant == Variant::lazy ? Variant::replicated : variant);
}

std::string to_string(const Placement& placement) {
  std::string text(to_string(placement.spread));
  for (const auto offset : placement.offsets)
    text += " " + std::to_string(offset);
  return placement.offsets.empty() ? text : text + ")";
}

}  // namespace partita::step
