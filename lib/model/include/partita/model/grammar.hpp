/// How a model is written: what every layer line may say, and the text that explains all of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "partita/model/layer_kind.hpp"

namespace partita::model {

/// "a whole number from 1 to 4096".
std::string allowed(const LayerValue&);

/// A word that every kind of layer takes, as `placement=HOW`.
struct CommonOption {
  std::string_view name, value, meaning;
};
const std::vector<CommonOption>& common_options();

/// The largest `stage=`.
inline constexpr std::int64_t most_stages = 1 << 20;

/// What a layer may be called: letters, digits, '_', '-' and '.', at most 64, with a letter, a digit or '_'
/// first. Files name groups so; PyTorch's `features.0` is one.
bool is_layer_name(std::string_view);

/// The whole grammar for a terminal of 100 columns; what docs/layers.md holds.
std::string grammar_text();

}  // namespace partita::model
