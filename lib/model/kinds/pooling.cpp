/// Layers that reduce each channel over windows: maxpool and avgpool.
#include <tuple>

#include "kinds.hpp"
#include "partita/kernels/shape.hpp"

namespace partita::model {
namespace {

LayerDescription pooling(LayerKind kind, std::string_view name, std::string_view meaning, double largest,
                         std::string_view example) {
  return {.kind = kind,
          .name = name,
          .meaning = meaning,
          .argument =
              LayerValue{"window", "rows and columns that become one element", 1, largest, &Layer::kernel},
          .options = {{"stride", "between two windows", 1, largest_window, &Layer::stride, "the window",
                       [](Layer& layer) { layer.stride = layer.kernel; }}},
          .example = example,
          .takes = Takes::images,
          .output = [](const Layer& layer) { return windows_of(layer, layer.input[0]); },
          .forward_flops =
              [](const Layer& layer) { return one_each(layer) * static_cast<double>(layer.kernel.area()); },
          .placements = of_images,
          .has_windows = true,
          .has_epilogue = true};
}

/// `avgpool global`: the input says how large its window is. Without `stride` the stride is as unknown.
std::string take_whole_image(Layer& layer) {
  layer.is_global = true;
  return layer.stride == Extent2(0) ? "" : "global is one window; it takes no stride";
}

}  // namespace

Shape windows_of(const Layer& layer, std::int64_t channels) {
  const auto& [kernel, stride, padding] = std::tie(layer.kernel, layer.stride, layer.padding);
  return {channels, kernels::windows(layer.input[1] + 2 * padding.h, kernel.h, stride.h),
          kernels::windows(layer.input[2] + 2 * padding.w, kernel.w, stride.w)};
}

LayerDescription maxpool() {
  constexpr double largest = 16;  // kernels keep which element of a window won in one byte
  auto kind =
      pooling(LayerKind::maxpool, "maxpool", "the largest element of each window", largest, "maxpool 2");
  kind.saved = {{.name = "winners", .type = kernels::DataType::uint8}};
  kind.smooth = LayerKind::avgpool;
  return kind;
}

LayerDescription avgpool() {
  auto kind =
      pooling(LayerKind::avgpool, "avgpool", "the mean of each window", largest_window, "avgpool 3 stride=2");
  kind.argument->word = LayerWord{"global", "the whole image, whatever its size", take_whole_image};
  kind.fit_to_input = [](Layer& layer) {
    if (layer.is_global) layer.kernel = layer.stride = {layer.input[1], layer.input[2]};
  };
  return kind;
}

}  // namespace partita::model
