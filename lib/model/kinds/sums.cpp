/// Layers of weighted sums, with parameters: linear and conv.
#include <cmath>

#include "kinds.hpp"

namespace partita::model {
namespace {

/// Weight and bias; outputs are weighted sums of `fan_in` inputs, a row of the weight each.
std::vector<Parameter> weight_and_bias(const Layer& layer, const Shape& weight, std::int64_t fan_in) {
  const auto inputs = static_cast<double>(fan_in);
  const double torch = 1.0 / std::sqrt(inputs);
  std::vector<Parameter> parameters{{.name = "weight",
                                     .shape = weight,
                                     .is_of_inputs = true,
                                     .torch_bound = torch,
                                     .kaiming_bound = std::sqrt(6.0 / inputs)}};
  if (layer.bias)
    parameters.push_back(
        {.name = "bias", .shape = {layer.out}, .left_out_by = "bias=false", .torch_bound = torch});
  return parameters;
}

/// A multiply-add for each weight, and the bias.
double flops_of_sums(const Layer& layer) {
  const auto outputs = static_cast<double>(layer.output.elements().value());
  return outputs *
         (2.0 * static_cast<double>(layer.parameters().front().columns()) + (layer.bias ? 1.0 : 0.0));
}

LayerValue bias() {
  return {.name = "bias",
          .meaning = "whether each output has a number of its own added",
          .field = &Layer::bias,
          .otherwise = "true",
          .set_standard = [](Layer& layer) { layer.bias = true; }};
}

/// `padding=same`: what both sides need so that as many windows fit as the image has elements.
std::string pad_to_same(Layer& layer) {
  if (layer.stride != Extent2(1)) return "padding=same needs stride=1";
  for (const auto kernel : {layer.kernel.h, layer.kernel.w})
    if (kernel % 2 == 0)
      return "padding=same needs an odd kernel, for the same border on both sides; nearest to " +
             std::to_string(kernel) + " are " + std::to_string(kernel - 1) + " and " +
             std::to_string(kernel + 1);
  layer.padding = {(layer.kernel.h - 1) / 2, (layer.kernel.w - 1) / 2};
  return "";
}

}  // namespace

LayerDescription linear() {
  return {.kind = LayerKind::linear,
          .name = "linear",
          .meaning = "a fully connected layer: y = W x + b, of a flat input",
          .argument = LayerValue{"features", "of its output", 1, largest_extent, &Layer::out},
          .options = {bias()},
          .example = "linear 10 name=head placement=column",
          .takes = Takes::vectors,
          .output = [](const Layer& layer) { return Shape{layer.out}; },
          .parameters =
              [](const Layer& layer) {
                const auto inputs = layer.input.elements().value();
                return weight_and_bias(layer, {layer.out, inputs}, inputs);
              },
          .forward_flops = flops_of_sums,
          .placements = of_sums,
          .reads = Reads::all_channels,
          .has_epilogue = true};
}

LayerDescription conv() {
  return {.kind = LayerKind::conv,
          .name = "conv",
          .meaning = "a convolution of images CxHxW",
          .argument = LayerValue{"filters", "channels of its output", 1, largest_extent, &Layer::out},
          .options = {{"kernel", "rows and columns of its windows", 1, largest_window, &Layer::kernel},
                      {"stride", "between two windows", 1, largest_window, &Layer::stride, "1",
                       [](Layer& layer) { layer.stride = 1; }},
                      {"padding", "zeros around the image, on each side", 0, largest_window, &Layer::padding,
                       "0", [](Layer& layer) { layer.padding = 0; },
                       LayerWord{"same", "(kernel - 1)/2: an odd kernel and stride 1 keep the image's size",
                                 pad_to_same}},
                      bias()},
          .example = "conv 10 kernel=5 padding=2",
          .takes = Takes::images,
          .output = [](const Layer& layer) { return windows_of(layer, layer.out); },
          .parameters =
              [](const Layer& layer) {
                const Shape weight{layer.out, layer.input[0], layer.kernel.h, layer.kernel.w};
                return weight_and_bias(layer, weight, layer.input[0] * layer.kernel.area());
              },
          .forward_flops = flops_of_sums,
          .placements = of_sums_of_images,
          .reads = Reads::all_channels,
          .has_windows = true,
          .has_epilogue = true};
}

}  // namespace partita::model
