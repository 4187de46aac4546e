/// The descriptions, one function a kind, and what several of them say.
#pragma once

#include "partita/model/layer_kind.hpp"

namespace partita::model {

LayerDescription linear();
LayerDescription conv();
LayerDescription maxpool();
LayerDescription avgpool();
LayerDescription relu();
LayerDescription tanh();
LayerDescription flatten();
LayerDescription dropout();
LayerDescription batchnorm();

/// Channels, and the rows and columns of the windows that fit the input.
Shape windows_of(const Layer&, std::int64_t channels);

/// The edge of the largest window.
inline constexpr double largest_window = 4096;

/// One operation for each element of the output.
double one_each(const Layer&);

/// What a layer can do with the tensor axis: everything can be replicated or share out samples; what has
/// channels shares them out (column), what sums over inputs shares those out (row), images share out rows
/// (height). Whether a ReLU or the like stands among images is known later.
inline const std::vector<std::string_view> of_sums{"replicated", "batch", "column", "row"};
inline const std::vector<std::string_view> of_sums_of_images{"replicated", "batch", "column", "row",
                                                             "height"};
inline const std::vector<std::string_view> of_channels{"replicated", "batch", "column"};
inline const std::vector<std::string_view> of_images{"replicated", "batch", "column", "height"};

}  // namespace partita::model
