/// Reads a model from its textual description and infers every shape.
#pragma once

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

}  // namespace partita::model
