/// Into how many pieces `split_k` cuts a sum, and where their parts lie in the workspace.
#pragma once

#include "warp_tile.hpp"

namespace partita::kernels::cuda::gemm {

struct Split {
  TileShape shape;
  int pieces;
};

/// As many pieces as give each multiprocessor four blocks of the medium tile or eight of the small one, at
/// most 64, none of less than 64 k. Depends on nothing but shape and multiprocessors.
constexpr Split split_of(const Arguments& p, int multiprocessors) {
  const TileShape shape = p.m <= 32 || p.n <= 32 ? TileShape::small : TileShape::medium;
  const TileExtent extent = extent_of(shape);
  const std::int64_t tiles = tile_grid(p, extent.m, extent.n).tiles();
  const std::int64_t blocks =
      static_cast<std::int64_t>(multiprocessors) * (shape == TileShape::small ? 8 : 4);
  std::int64_t pieces = tiles > 0 ? blocks / tiles : 1;
  if (pieces > p.k / 64) pieces = p.k / 64;
  if (pieces > 64) pieces = 64;
  return {shape, pieces > 1 ? static_cast<int>(pieces) : 1};
}

/// Floats of the workspace: the pieces' matrices [m, n], then their row sums [m].
constexpr std::int64_t split_floats(const Arguments& p, int pieces) {
  return pieces > 1 ? pieces * (p.m * p.n + (p.row_sums != nullptr ? p.m : 0)) : 0;
}

}  // namespace partita::kernels::cuda::gemm
