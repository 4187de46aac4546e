/// The table of the kinds of layers.
#include "partita/model/layer_kind.hpp"

#include <algorithm>

#include "kinds/kinds.hpp"

namespace partita::model {

const std::vector<LayerDescription>& layer_kinds() {
  static const std::vector<LayerDescription> kinds{linear(), conv(),    maxpool(), avgpool(),  relu(),
                                                   tanh(),   flatten(), dropout(), batchnorm()};
  return kinds;
}

const LayerDescription& description_of(LayerKind kind) {
  return layer_kinds()[static_cast<std::size_t>(kind)];
}

std::vector<std::string_view> parameter_names() {
  std::vector<std::string_view> names;
  for (const auto& kind : layer_kinds()) {
    if (!kind.has_parameters()) continue;
    // Unless its line says otherwise, a layer has every tensor that its kind can have.
    for (const auto& parameter :
         kind.parameters({.kind = kind.kind, .out = 1, .input = {1, 1, 1}, .output = {1, 1, 1}}))
      if (std::find(names.begin(), names.end(), parameter.name) == names.end())
        names.push_back(parameter.name);
  }
  return names;
}

}  // namespace partita::model
