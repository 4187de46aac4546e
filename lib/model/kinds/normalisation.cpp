/// Layers that normalise over samples, with running statistics for when there are none: batchnorm.
#include "kinds.hpp"

namespace partita::model {
namespace {

std::int64_t channels_of(const Layer& layer) { return layer.input[0]; }

std::vector<Parameter> affine_and_running(const Layer& layer) {
  constexpr std::string_view without = "affine=false";
  const Shape each{channels_of(layer)};
  std::vector<Parameter> parameters;
  if (layer.affine)
    parameters = {{.name = "weight", .shape = each, .left_out_by = without, .initial = 1},
                  {.name = "bias", .shape = each, .left_out_by = without}};
  parameters.push_back({.name = "running_mean", .shape = each, .is_running = true});
  parameters.push_back({.name = "running_var", .shape = each, .initial = 1, .is_running = true, .least = 0});
  return parameters;
}

}  // namespace

LayerDescription batchnorm() {
  // An element is added to two sums and squared for one of them, then scaled and shifted.
  constexpr double flops_of_element = 5;
  return {.kind = LayerKind::batchnorm,
          .name = "batchnorm",
          .meaning =
              "each channel (feature) less its mean, divided by its deviation: over all samples of a "
              "micro-batch on all ranks in training, running ones otherwise and when frozen",
          .options = {{"momentum", "the part that a micro-batch has in the running statistics", 0, 1,
                       &Layer::momentum, "0.1", [](Layer& layer) { layer.momentum = 0.1; }},
                      {"eps", "added to the variance", 1e-12, 1, &Layer::epsilon, "1e-05",
                       [](Layer& layer) { layer.epsilon = 1e-5; }},
                      {"affine", "whether each channel then has a weight and a bias", 0, 0, &Layer::affine,
                       "true", [](Layer& layer) { layer.affine = true; }}},
          .example = "batchnorm momentum=0.05",
          .parameters = affine_and_running,
          .forward_flops = [](const Layer& layer) { return flops_of_element * one_each(layer); },
          .statistics = [](const Layer& layer) { return Elements(2 * channels_of(layer)); },
          .placements = of_images,
          .has_epilogue = true};
}

}  // namespace partita::model
