/// Layers of weighted sums, with parameters: linear and conv.
#include <cmath>

#include "kinds.hpp"

namespace partita::model {
namespace {

/// A multiply-add for each weight, and the bias.
double flops_of_sums(const Layer& layer) {
  const auto outputs = static_cast<double>(layer.output.elements().value());
  return outputs * (2.0 * static_cast<double>(layer.parameters().front().columns()) + 1.0);
}

}  // namespace

std::vector<Parameter> weight_and_bias(const Shape& weight, std::int64_t fan_in) {
  const auto inputs = static_cast<double>(fan_in);
  const double torch = 1.0 / std::sqrt(inputs);
  return {{.name = "weight",
           .shape = weight,
           .is_of_inputs = true,
           .torch_bound = torch,
           .kaiming_bound = std::sqrt(6.0 / inputs)},
          {.name = "bias", .shape = {weight[0]}, .torch_bound = torch}};
}

LayerDescription linear() {
  return {.kind = LayerKind::linear,
          .name = "linear",
          .meaning = "a fully connected layer: y = W x + b, of a flat input",
          .argument = LayerNumber{"features", "of its output", 1, largest_extent, &Layer::out},
          .example = "linear 10 name=head placement=column",
          .takes = Takes::vectors,
          .output = [](const Layer& layer) { return Shape{layer.out}; },
          .parameters =
              [](const Layer& layer) {
                const auto inputs = layer.input.elements().value();
                return weight_and_bias({layer.out, inputs}, inputs);
              },
          .forward_flops = flops_of_sums,
          .placements = of_sums,
          .reads = Reads::all_channels,
          .has_epilogue = true};
}

LayerDescription conv() {
  return {.kind = LayerKind::conv,
          .name = "conv",
          .meaning = "a convolution with bias, of images CxHxW",
          .argument = LayerNumber{"filters", "channels of its output", 1, largest_extent, &Layer::out},
          .options = {{"kernel", "edge of its square windows", 1, largest_window, &Layer::kernel},
                      {"stride", "between two windows", 1, largest_window, &Layer::stride, "1",
                       [](const Layer&) { return std::int64_t{1}; }},
                      {"padding", "zeros around the image, on each side", 0, largest_window, &Layer::padding,
                       "0", [](const Layer&) { return std::int64_t{0}; }}},
          .example = "conv 10 kernel=5 padding=2",
          .takes = Takes::images,
          .output = [](const Layer& layer) { return windows_of(layer, layer.out); },
          .parameters =
              [](const Layer& layer) {
                const Shape weight{layer.out, layer.input[0], layer.kernel, layer.kernel};
                return weight_and_bias(weight, layer.input[0] * layer.kernel * layer.kernel);
              },
          .forward_flops = flops_of_sums,
          .placements = of_sums_of_images,
          .reads = Reads::all_channels,
          .has_windows = true,
          .has_epilogue = true};
}

}  // namespace partita::model
