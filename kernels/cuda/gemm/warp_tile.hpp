/// The float32 main loop of `warp_tile` and `split_k`: shapes of its tiles, which of them a product gets.
#pragma once

#include "ladder.hpp"

namespace partita::kernels::cuda::gemm {

/// Shapes of a block's tile.
enum class TileShape { wide, medium, small };

struct TileExtent {
  int m, n;
};
constexpr TileExtent extent_of(TileShape shape) {
  constexpr TileExtent extents[] = {{128, 256}, {64, 64}, {32, 32}};
  return extents[static_cast<int>(shape)];
}
inline constexpr int warp_tile_depth = 16;

/// Steps of the main loop that a chip needs for the product, in units of one multiply-add a thread of a
/// multiprocessor's 128 lanes: rounds of blocks, each with a tile's products and what it costs besides. The
/// smaller a tile, the more of its instructions are loads. By reasoning, not measured.
constexpr double estimated_cost(const Arguments& p, TileShape shape, int pieces, int multiprocessors) {
  const TileExtent extent = extent_of(shape);
  constexpr double overhead[] = {1.08, 1.35, 1.8}, latency[] = {4000, 2000, 1500};
  const double blocks =
      static_cast<double>(tile_grid(p, extent.m, extent.n).tiles()) * static_cast<double>(pieces);
  const double rounds = blocks <= multiprocessors ? 1 : blocks / multiprocessors;
  const auto whole = static_cast<double>(static_cast<std::int64_t>(rounds + 0.999));
  const double k = static_cast<double>(quotient_up(p.k, pieces));
  const int index = static_cast<int>(shape);
  // A block alone on its multiprocessor cannot hide the latency of its steps.
  const double per_step = extent.m * extent.n / 128.0 * overhead[index] * warp_tile_depth;
  const double step = per_step < 400 && blocks <= multiprocessors ? 400 : per_step;
  const double filled = index == 0 ? whole : rounds;
  return filled * (k / warp_tile_depth * step + latency[index]);
}

/// The shape for a product whose operands are copied in 16 bytes or along k (`aligned`), or 4 bytes.
constexpr TileShape choose_tile(const Arguments& p, bool aligned, int multiprocessors) {
  TileShape best = TileShape::small;
  for (const TileShape shape : {TileShape::medium, TileShape::wide}) {
    if (shape == TileShape::wide && !aligned) continue;
    if (estimated_cost(p, shape, 1, multiprocessors) < estimated_cost(p, best, 1, multiprocessors))
      best = shape;
  }
  return best;
}

/// Issues the product's tiles. More than one piece of the sum over k: piece i writes row_c·m·i elements
/// further in C and m·i further in the row sums.
void issue_warp_tiles(const Arguments&, TileShape, int pieces, cudaStream_t);

/// Whether each operand can be copied in 16 bytes or along k.
bool copies_fast(const Arguments&);

}  // namespace partita::kernels::cuda::gemm
