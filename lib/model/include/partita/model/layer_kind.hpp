/// What a kind of layer is, in one description each: how its line is written, its shapes, its parameters,
/// what it keeps for its backward pass, how it can be shared out. Parsing, help, programs, files and formulae
/// read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "partita/model/model.hpp"

namespace partita::model {

/// A word that may stand for a number, as `avgpool global`.
struct LayerWord {
  std::string_view name;
  std::string_view meaning;
  /// Gives the layer, whose other values are known, what the word stands for; returns why it cannot, or
  /// nothing.
  std::string (*apply)(Layer&);
};

/// A value of a layer line, bare (`linear 10`) or `kernel=3`.
struct LayerValue {
  std::string_view name;
  std::string_view meaning;
  /// Whole numbers, alone or as HEIGHTxWIDTH, lie in [least, most], others in [least, most).
  double least = 0, most = 0;
  std::variant<std::int64_t Layer::*, double Layer::*, Extent2 Layer::*, bool Layer::*> field;
  /// What stands for it when it is not given, in words and as a value; without them it must be given.
  std::string_view otherwise = "";
  void (*set_standard)(Layer&) = nullptr;
  std::optional<LayerWord> word = {};
};

/// What a layer's input must be.
enum class Takes { anything, vectors, images };

/// Which inputs an output depends on, from which follows what the layer's placements demand and deliver.
enum class Reads {
  all_channels,  ///< weighted sums: outputs and inputs can be shared out
  own_channel,   ///< channels can be shared out
  reordered      ///< images become vectors: shares of channels become shares of features
};

/// A tensor that the backward pass needs besides input and output: one element for each of the output.
struct SavedTensor {
  std::string_view name;
  kernels::DataType type;
};

struct LayerDescription {
  LayerKind kind;
  std::string_view name;

  // Its line.
  std::string_view meaning;
  std::optional<LayerValue> argument = {};
  std::vector<LayerValue> options = {};
  std::string_view example;

  // Shapes and counts. The output's shape is that of an input that fits; none: the input's.
  Takes takes = Takes::anything;
  void (*fit_to_input)(Layer&) = nullptr;  ///< what depends on the input's shape, before all else
  Shape (*output)(const Layer&) = nullptr;
  std::vector<Parameter> (*parameters)(const Layer&) = nullptr;  ///< none: it has none
  std::vector<SavedTensor> saved = {};
  double (*forward_flops)(const Layer&);  ///< of one sample
  /// Of a layer whose passes have a reduction over samples inside: how many sums, float64
  /// (`Layer::statistics`).
  Elements (*statistics)(const Layer&) = nullptr;

  // How it can lie on the ranks.
  std::vector<std::string_view> placements;
  Reads reads = Reads::own_channel;
  bool has_windows = false;  ///< an output's row is made of several rows of the input

  // What can be left out.
  bool is_epilogue = false;   ///< a layer before it that has an epilogue may compute it at once
  bool has_epilogue = false;  ///< its operator can apply one to its result
  bool only_trained = false;  ///< outside training its output is its input
  /// Which kind takes its place in `smooth_twin`.
  std::optional<LayerKind> smooth = {};

  [[nodiscard]] bool has_parameters() const { return parameters != nullptr; }
};

/// In the order of `LayerKind`.
const std::vector<LayerDescription>& layer_kinds();

const LayerDescription& description_of(LayerKind);

/// What tensors of parameters are called in layers of any kind, each name once: "weight", "running_var".
std::vector<std::string_view> parameter_names();

/// Of features, filters and every extent of an input.
inline constexpr std::int64_t largest_extent = 1 << 24;

}  // namespace partita::model
