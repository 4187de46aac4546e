/// The kernels of the family by name, each told of in its own file, and how tiles become blocks.
#pragma once

#include "family.hpp"
#include "launch.hpp"
#include "tiles.hpp"

namespace partita::kernels::cuda::gemm {

extern const Kernel naive, shared_tile, register_tile, warp_tile, split_k, tf32, bf16;

/// A block for each tile of each of `pieces` of the sum.
inline LaunchShape tile_launch(const TileGrid& grid, int threads, int shared_bytes, int pieces = 1) {
  return {.grid = dim3(static_cast<unsigned>(grid.tiles() * pieces)),
          .block = dim3(static_cast<unsigned>(threads)),
          .shared_bytes = static_cast<unsigned>(shared_bytes)};
}

}  // namespace partita::kernels::cuda::gemm
