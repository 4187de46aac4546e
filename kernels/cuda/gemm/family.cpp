#include "family.hpp"

#include <array>

#include "ladder.hpp"

namespace partita::kernels::cuda::gemm {

std::span<const Kernel> kernels() {
  static const std::array list{naive, shared_tile, register_tile, warp_tile, split_k};
  return list;
}

}  // namespace partita::kernels::cuda::gemm
