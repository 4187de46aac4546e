/// Models of a few lines.
#pragma once

#include <string>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/model/parse.hpp"

namespace partita::tests {

/// Of layer lines without a fault; throws ConfigError otherwise.
inline model::ModelSpec model_of(const std::string& input, const std::vector<std::string>& layers,
                                 const std::string& loss = "cross-entropy") {
  std::vector<base::Violation> violations;
  auto model = model::parse_model({.name = "m", .input = input, .layers = layers, .loss = loss}, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return model;
}

}  // namespace partita::tests
