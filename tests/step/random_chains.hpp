/// Random nets with random explicit placements, grids, schedules and batches: what a user may write and no
/// chosen placement ever shows. A chain is a pure function of its seed.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/model/parse.hpp"
#include "partita/plan/plan.hpp"

namespace partita::tests {

struct RandomChain {
  std::string input;
  std::vector<std::string> layers;
  std::string loss;
  std::int64_t batch = 1;
  topology::GridExtent grid;
  step::PipelineOptions pipeline;
  model::ModelSpec model;

  [[nodiscard]] plan::Request split() const {
    const auto codec = static_cast<kernels::Codec>(batch / 4 % 7);
    return {.grid = grid,
            .batch = batch,
            .pipeline = pipeline,
            .bucket_bytes = kernels::Bytes(64),
            .norms = {.of_gradient = batch % 3 == 0, .of_tensors = batch % 5 == 0},
            .split = codec == kernels::Codec::none || kernels::codes_values(codec)
                         ? static_cast<step::Split>(batch % 4)
                         : step::Split::none,
            .gather = static_cast<step::Gather>(batch % 2),
            .compression = {.codec = codec, .ratio = 0.1, .rank = 1, .residuals = batch % 5 != 0}};
  }
};

/// As the command line of partita-train has it.
inline std::string to_string(const RandomChain& c) {
  std::string text = to_string(c.grid) + ", " + std::string(step::to_string(c.pipeline.schedule)) + " of " +
                     std::to_string(c.pipeline.microbatches) + ", batch " + std::to_string(c.batch) + ", " +
                     c.loss + ", input " + c.input;
  for (const auto& layer : c.layers)
    text += "; " + layer;
  return text;
}

/// What is drawn from; the ranges reach what divides nothing, shares that are empty, halos beyond the
/// neighbour and windows that lie in the border alone.
class ChainDraw {
 public:
  explicit ChainDraw(std::uint64_t seed) : random_(seed) {}

  /// A chain for that many ranks, at least two of them on the tensor axis.
  RandomChain draw(int ranks) {
    for (;;) {
      RandomChain c;
      draw_layers(c);
      std::vector<base::Violation> violations;
      c.model = model::parse_model({.name = "random", .input = c.input, .layers = c.layers, .loss = c.loss},
                                   violations);
      draw_grid(c, ranks);
      if (violations.empty()) plan::choose(c.model, c.split(), machine::Machine::shipped(), violations);
      if (violations.empty()) return c;
    }
  }

  /// From `least` to `most`, both included.
  int number(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<std::uint64_t>(most - least + 1));
  }
  bool one_in(int n) { return number(1, n) == 1; }

 private:
  template <class T>
  T any_of(std::initializer_list<T> all) {
    return all.begin()[number(0, static_cast<int>(all.size()) - 1)];
  }

  void draw_layers(RandomChain& c) {
    const bool image = !one_in(6);
    int height = number(1, 9), width = number(1, 6);
    c.input = image
                  ? std::to_string(number(1, 4)) + "x" + std::to_string(height) + "x" + std::to_string(width)
                  : std::to_string(number(1, 12));
    if (image) {
      for (int left = number(0, 4); left > 0; --left)
        add_image_layer(c, height, width);
      add(c, "flatten", {"replicated", "batch", "column"});
    }
    for (int left = number(0, 3); left > 0; --left)
      add_flat_layer(c);
    const bool classes = !one_in(5);
    c.loss = classes ? "cross-entropy" : "mse";
    add(c, classes ? "linear 5" : "linear 3", {"replicated", "batch", "column", "row"});
  }

  /// For height and width: one number, or one each.
  template <class Draw>
  kernels::Extent2 both_or_each(Draw draw) {
    const int first = draw();
    return {first, one_in(2) ? first : draw()};
  }
  kernels::Extent2 step() {
    return both_or_each([&] { return number(1, 3); });
  }
  kernels::Extent2 window(int most, std::int64_t rows, std::int64_t columns) {
    const auto extent = [&](std::int64_t n) {
      return number(1, static_cast<int>(std::min<std::int64_t>(most, n)));
    };
    const int first = extent(std::min(rows, columns));
    return one_in(2) ? kernels::Extent2(first) : kernels::Extent2(extent(rows), extent(columns));
  }

  /// One layer in five is placed by the choice of the cheapest.
  void add(RandomChain& c, const std::string& layer, std::initializer_list<const char*> placements) {
    c.layers.push_back(one_in(5) ? layer : layer + " placement=" + any_of(placements));
  }

  void add_image_layer(RandomChain& c, int& height, int& width) {
    using kernels::Extent2;
    const auto shrink = [&](Extent2 kernel, Extent2 stride, Extent2 padding) {
      height = static_cast<int>(kernels::windows(height + 2 * padding.h, kernel.h, stride.h));
      width = static_cast<int>(kernels::windows(width + 2 * padding.w, kernel.w, stride.w));
    };
    switch (number(0, 6)) {
      case 0:
      case 1: {
        Extent2 padding = both_or_each([&] { return any_of({0, 0, 0, 1, 2, 3}); });
        const Extent2 kernel = window(5, height + 2 * padding.h, width + 2 * padding.w), stride = step();
        const bool same = stride == Extent2(1) && kernel.h % 2 + kernel.w % 2 == 2 && one_in(2);
        if (same) padding = {kernel.h / 2, kernel.w / 2};
        add(c,
            "conv " + std::to_string(number(1, 5)) + " kernel=" + to_string(kernel) +
                " stride=" + to_string(stride) + " padding=" + (same ? "same" : to_string(padding)) +
                (one_in(3) ? " bias=false" : "") + (one_in(8) ? " frozen" : ""),
            {"replicated", "batch", "column", "row", "height", "height"});
        return shrink(kernel, stride, padding);
      }
      case 2:
      case 3: {
        const bool global = one_in(6);
        const Extent2 kernel = global ? Extent2(height, width) : window(4, height, width), stride = step();
        add(c,
            global ? "avgpool global"
                   : any_of<std::string>({"maxpool ", "avgpool "}) + to_string(kernel) +
                         " stride=" + to_string(stride),
            {"replicated", "batch", "column", "height", "height"});
        return shrink(kernel, stride, 0);
      }
      case 4:
        return add(c, normalisation(), {"replicated", "batch", "column", "height"});
      default:
        return add(c, any_of<std::string>({"relu", "tanh", "dropout 0.3"}),
                   {"replicated", "batch", "column", "height"});
    }
  }

  /// Of few samples, whose deviation may be nearly 0: ε keeps it away from there.
  std::string normalisation() {
    return any_of<std::string>(
        {"batchnorm eps=0.5", "batchnorm eps=0.5 affine=false momentum=0.3", "batchnorm eps=0.5 frozen"});
  }

  void add_flat_layer(RandomChain& c) {
    if (one_in(2))
      add(c,
          "linear " + std::to_string(number(1, 7)) + (one_in(4) ? " bias=false" : "") +
              (one_in(8) ? " frozen" : ""),
          {"replicated", "batch", "column", "row"});
    else if (one_in(4))
      add(c, normalisation(), {"replicated", "batch", "column"});
    else
      add(c, any_of<std::string>({"relu", "tanh", "dropout 0.3"}), {"replicated", "batch", "column"});
  }

  void draw_grid(RandomChain& c, int ranks) {
    std::vector<topology::GridExtent> grids;
    for (const auto& grid : topology::nearest_grids({}, ranks, 1000))
      if (grid.tensor > 1 && grid.pipeline <= static_cast<int>(c.layers.size())) grids.push_back(grid);
    c.grid = grids[static_cast<std::size_t>(number(0, static_cast<int>(grids.size()) - 1))];
    if (one_in(2)) c.grid = {.tensor = ranks};
    c.batch = number(1, 7);
    using S = step::Schedule;
    c.pipeline.schedule = any_of({S::one_f_one_b, S::gpipe, S::zb_h1, S::naive, S::interleaved});
    c.pipeline.microbatches = any_of({1, 1, 2, 3});
    if (c.pipeline.schedule == S::interleaved && 2 * c.grid.pipeline <= static_cast<int>(c.layers.size()))
      c.pipeline.chunks = 2;
  }

  std::mt19937_64 random_;
};

}  // namespace partita::tests
