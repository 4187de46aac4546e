/// How often a step passes over a layer follows from what is trained, in it and below it.
#include "partita/model/passes.hpp"

namespace partita::model {

int lowest_trained_layer(const ModelSpec& model) {
  for (std::size_t l = 0; l < model.layers.size(); ++l)
    if (model.layers[l].is_trained()) return static_cast<int>(l);
  return static_cast<int>(model.layers.size());
}

int passes_over(const ModelSpec& model, int layer) {
  const bool trained = model.layers[static_cast<std::size_t>(layer)].is_trained();
  return 1 + (trained ? 1 : 0) + (layer > lowest_trained_layer(model) ? 1 : 0);
}

}  // namespace partita::model
