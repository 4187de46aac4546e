/// The table of the kinds of layers.
#include "partita/model/layer_kind.hpp"

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

}  // namespace partita::model
