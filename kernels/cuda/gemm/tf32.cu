/// Adds to `warp_tile`: tensor cores. A warp multiplies [16, 8] by [8, 8] in one mma.sync, operands rounded
/// to tf32 (10 bits of mantissa, ties away from 0), sums in float32.
///
/// Tiles of 128×256 by 32 k in three stages of cp.async; a warp's 64×64 needs 8 ldmatrix for 32 products.
/// Operands with k innermost are read by ldmatrix, which moves 4 bytes a lane as tf32 fragments want them;
/// the others by single loads, for ldmatrix transposes elements of 2 bytes only. Row sums are products with
/// ones. Rounding costs two instructions an element on sm_90, about two for each product. On Hopper mma.sync
/// does not reach the tensor cores' whole rate, which wgmma does (W. Luo et al. 2024, arXiv:2402.13499): a
/// library that uses wgmma should be the faster one there. Not measured here yet.
#include "tensor_tile.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

bool supports(const Arguments& p) { return !p.c_is_bf16 && counts_in_32_bits(p); }

}  // namespace

const Kernel tf32{.name = "tf32",
                  .arithmetic = Arithmetic::tf32,
                  .minimum_architecture = 80,
                  .supports = supports,
                  .workspace = no_workspace,
                  .run = run_tensor_tiles<float>};

}  // namespace partita::kernels::cuda::gemm
