/// The order of the ladder: each kernel after the one that it adds to.
#include "family.hpp"

#include <array>

#include "hopper_bf16.hpp"
#include "ladder.hpp"

namespace partita::kernels::cuda::gemm {

std::span<const Kernel> kernels() {
  static const std::array list{naive,   shared_tile, register_tile, warp_tile,
                               split_k, tf32,        bf16,          hopper_bf16};
  return list;
}

}  // namespace partita::kernels::cuda::gemm
