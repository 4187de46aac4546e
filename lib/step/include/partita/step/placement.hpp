/// How tensors lie on the ranks of the tensor axis, and what each layer demands of its neighbours and
/// delivers.
///
/// An edge between two layers carries a pair: the placement of the value and that of its gradient. Where a
/// producer's and a consumer's pair differ, the program converts: the value forward, the gradient backward.
/// Layers themselves exchange no more than sums over samples. Vocabulary after DTensor and GSPMD (Xu et al.
/// 2021, arXiv:2105.04663); column and row: Shoeybi et al. 2019, arXiv:1909.08053; batch before features:
/// Krizhevsky 2014, arXiv:1404.5997.
#pragma once

#include <string_view>
#include <vector>

#include "partita/model/model.hpp"
#include "partita/topology/grid.hpp"

namespace partita::step {

/// `window`: what output rows [offsets] of a kernel read, the zero border of its padding included; ranks hold
/// overlapping rows of a value, and gradients whose overlaps must be added.
enum class Spread { replicated, partial, batch, channel, height, window };

struct Placement {
  Spread spread = Spread::replicated;
  /// ranks + 1 offsets: of channels (or features), of rows, or of the output rows of a window.
  std::vector<std::int64_t> offsets;
  /// Of a window: its rows, and the zero border on each side.
  std::int64_t kernel = 1, stride = 1;
  kernels::Extent2 padding;
  friend bool operator==(const Placement&, const Placement&) = default;
};

struct Pair {
  Placement value, gradient;
  friend bool operator==(const Pair&, const Pair&) = default;
};

/// A spread without offsets, and the pair of a value and a gradient that lie alike.
inline Placement plain(Spread spread) { return {.spread = spread}; }
inline Pair both(const Placement& placement) { return {placement, placement}; }

/// What a layer does with the tensor axis. `replicated`: the same on all ranks. `lazy`: likewise, but its
/// output's gradient is a partial sum, and so are all gradients that it computes. `batch`: a share of the
/// samples. `column`: a share of the outputs (features, filters); of layers without parameters, a share of
/// the channels. `row`: a share of the inputs, giving a partial output. `height`: a share of the rows.
enum class Variant { replicated, lazy, batch, column, row, height };

struct LayerPlacement {
  Variant variant = Variant::replicated;
  Pair in, out;
};

struct ModelPlacement {
  int ranks = 1;                       ///< of the tensor axis
  std::vector<LayerPlacement> layers;  ///< of each layer of the model
  Placement loss;                      ///< of the network's output, as the loss reads it
};

std::string_view to_string(Spread);
std::string_view to_string(Variant);
/// As `placement=` of a layer's line has it, where lazy is a way to be replicated.
std::string_view word_of(Variant);
/// "sharded(channel 0 3 5)", "replicated".
std::string to_string(const Placement&);

/// Everything that a layer can do on a tensor axis of `ranks` ranks (`LayerDescription::placements`), given
/// what its producer delivers (whose offsets are kept where they fit).
std::vector<LayerPlacement> choices_of(const model::Layer&, const Pair& producer, int ranks);

/// What a rank of the tensor axis has a share of: all else it has whole.
struct Cuts {
  bool samples = false, outputs = false, inputs = false, rows = false;
  /// Whether it has a part of each channel's values only.
  [[nodiscard]] constexpr bool of_channel() const { return samples || rows; }
  /// Whether it has a part of each parameter only.
  [[nodiscard]] constexpr bool of_parameters() const { return outputs || inputs; }
};

constexpr Cuts cuts_of(Variant v) {
  return {.samples = v == Variant::batch,
          .outputs = v == Variant::column,
          .inputs = v == Variant::row,
          .rows = v == Variant::height};
}

/// Whether the gradient of a layer's parameters is a partial sum along the tensor axis.
constexpr bool gradients_are_partial(Variant v) { return v == Variant::lazy || cuts_of(v).of_channel(); }

}  // namespace partita::step
