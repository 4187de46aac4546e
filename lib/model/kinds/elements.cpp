/// Layers that treat elements one by one: relu, tanh, dropout; and flatten, which changes their order.
#include "kinds.hpp"

namespace partita::model {

double one_each(const Layer& layer) { return static_cast<double>(layer.output.elements().value()); }

LayerDescription relu() {
  return {.kind = LayerKind::relu,
          .name = "relu",
          .meaning = "max(x, 0) of each element",
          .example = "relu",
          .forward_flops = one_each,
          .placements = of_images,
          .is_epilogue = true,
          .smooth = LayerKind::tanh};
}

LayerDescription tanh() {
  return {.kind = LayerKind::tanh,
          .name = "tanh",
          .meaning = "the hyperbolic tangent of each element",
          .example = "tanh",
          .forward_flops = one_each,
          .placements = of_images};
}

LayerDescription flatten() {
  return {.kind = LayerKind::flatten,
          .name = "flatten",
          .meaning = "images CxHxW become vectors, as linear takes them",
          .example = "flatten",
          .output = [](const Layer& layer) { return Shape{layer.input.elements().value()}; },
          .forward_flops = [](const Layer&) { return 0.0; },
          .placements = of_channels,
          .reads = Reads::reordered};
}

LayerDescription dropout() {
  return {.kind = LayerKind::dropout,
          .name = "dropout",
          .meaning = "in training sets elements to 0 at random and scales the others by 1/(1-p)",
          .argument = LayerValue{"probability", "p, of an element to become 0", 0, 1, &Layer::probability},
          .example = "dropout 0.5",
          .forward_flops = one_each,
          .placements = of_images,
          .only_trained = true};
}

}  // namespace partita::model
