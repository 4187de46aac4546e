/// Adds to `tf32`: operands of half the size, and products [16, 16] by [16, 8]. Tiles of 128×256 by 64 k,
/// three stages of cp.async; ldmatrix reads every fragment and transposes where rows or columns are innermost
/// in memory, so that all four transpositions read shared memory alike and without bank conflicts, thanks to
/// the swizzle.
///
/// C and mask are float32 or bfloat16. On Hopper mma.sync does not reach the tensor cores' whole rate (see
/// tf32.cu); there hopper_bf16.cu is the faster one. Not measured here yet.
#include "tensor_tile.hpp"

namespace partita::kernels::cuda::gemm {

const Kernel bf16{.name = "bf16",
                  .arithmetic = Arithmetic::bf16,
                  .minimum_architecture = 80,
                  .supports = counts_in_32_bits,
                  .workspace = no_workspace,
                  .run = run_tensor_tiles<__nv_bfloat16>};

}  // namespace partita::kernels::cuda::gemm
