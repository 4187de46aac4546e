/// Layers that reduce each channel over windows: maxpool and avgpool.
#include "kinds.hpp"
#include "partita/kernels/backend.hpp"

namespace partita::model {
namespace {

LayerDescription pooling(LayerKind kind, std::string_view name, std::string_view meaning, double largest,
                         std::string_view example) {
  return {.kind = kind,
          .name = name,
          .meaning = meaning,
          .argument = LayerNumber{"window", "edge of the square that becomes one element", 1, largest,
                                  &Layer::kernel},
          .options = {{"stride", "between two windows", 1, largest_window, &Layer::stride, "the window",
                       [](const Layer& layer) { return layer.kernel; }}},
          .example = example,
          .takes = Takes::images,
          .output = [](const Layer& layer) { return windows_of(layer, layer.input[0]); },
          .forward_flops =
              [](const Layer& layer) {
                return one_each(layer) * static_cast<double>(layer.kernel * layer.kernel);
              },
          .placements = of_images,
          .has_windows = true,
          .has_epilogue = true};
}

}  // namespace

Shape windows_of(const Layer& layer, std::int64_t channels) {
  const auto along = [&](std::int64_t extent) {
    return kernels::windows(extent + 2 * layer.padding, layer.kernel, layer.stride);
  };
  return {channels, along(layer.input[1]), along(layer.input[2])};
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
  return pooling(LayerKind::avgpool, "avgpool", "the mean of each window", largest_window,
                 "avgpool 3 stride=2");
}

}  // namespace partita::model
