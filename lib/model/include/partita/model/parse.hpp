/// Reads a model from its textual description and infers every shape.
#pragma once

#include <span>
#include <string>

#include "partita/base/error.hpp"
#include "partita/model/model.hpp"

namespace partita::model {

/// What `[model]` holds, as written.
struct ModelText {
  std::string name = "unnamed";
  std::string input;                ///< "1x28x28" or "784"
  std::vector<std::string> layers;  ///< "conv 10 kernel=5", in order
  std::string loss = "cross-entropy";
};

/// Parses layer lines (`layer_kinds`) and infers shapes.
/// Everything wrong is appended to `violations` with the line's number and both shapes; the result is usable
/// only if nothing was appended.
ModelSpec parse_model(const ModelText&, std::vector<base::Violation>& violations);

/// Insertions, deletions and replacements of a character between two words.
std::size_t edit_distance(std::string_view, std::string_view);

/// The candidate with the smallest edit distance to `word`, or nothing when none is similar.
std::string nearest_word(std::string_view word, std::span<const std::string_view> candidates);

/// "; did you mean 'word'?", of the nearest word; nothing when none is similar.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

/// The same of "true" and "false", whatever they are called: "no" means false.
std::string did_you_mean_boolean(std::string_view word);

}  // namespace partita::model
