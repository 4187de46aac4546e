/// How a model is written: one table of the kinds of layers, from which lines are read, refused and
/// explained.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "partita/model/model.hpp"

namespace partita::model {

/// A number of a layer line, bare (`linear 10`) or `kernel=3`.
struct LayerNumber {
  std::string_view name;
  std::string_view meaning;
  /// Whole numbers lie in [least, most], others in [least, most).
  double least, most;
  std::variant<std::int64_t Layer::*, double Layer::*> field;
  std::string_view otherwise = "";  ///< what stands for it when it is not given; empty: it must be
};

/// "a whole number from 1 to 4096".
std::string allowed(const LayerNumber&);

struct LayerGrammar {
  LayerKind kind;
  std::string_view meaning;
  std::optional<LayerNumber> argument;
  std::vector<LayerNumber> options;
  std::vector<std::string_view> placements;
  bool has_parameters;  ///< which `frozen` keeps as they are
  std::string_view example;
};

/// In the order of `LayerKind`.
const std::vector<LayerGrammar>& layer_grammar();

/// A word that every kind of layer takes, as `placement=HOW`.
struct CommonOption {
  std::string_view name, value, meaning;
};
const std::vector<CommonOption>& common_options();

/// Of features, filters and every extent of an input.
inline constexpr std::int64_t largest_extent = 1 << 24;
/// The largest `stage=`.
inline constexpr std::int64_t most_stages = 1 << 20;

/// What a layer may be called: letters, digits, '_', '-' and '.', at most 64, with a letter, a digit or '_'
/// first. Files name groups so; PyTorch's `features.0` is one.
bool is_layer_name(std::string_view);

/// The whole grammar for a terminal of 100 columns; what docs/layers.md holds.
std::string grammar_text();

}  // namespace partita::model
