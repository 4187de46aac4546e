/// Adds to `naive`: tiles in shared memory. A block of 32×32 threads computes a tile of C of that size; all
/// of them copy a 32×32 tile of op(A) and of op(B) to shared memory, then each reads its row and column
/// there. An element is read from global memory once for 32 elements of C instead of once for each.
///
/// Either operand is read along its innermost dimension, so that transposed ones coalesce as well; rows of 33
/// keep columns of a tile in different banks. Still bound by loads, now of shared memory: two for each
/// multiply-add. Reported for such a kernel at 4096³ on an RTX A6000: 2,980 GFLOP/s of cuBLAS's 23,250
/// (S. Boehm 2022, siboehm.com/articles/22/CUDA-MMM); not measured here yet.
#include "epilogue.hpp"
#include "ladder.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

constexpr int side = 32;
using SharedTile = float[side][side + 1];  // [r][k]

/// This thread's element of the tile from (first, k0) on; zeros beyond the edges.
__device__ __forceinline__ void fill(SharedTile& tile, const Operand& operand, std::int64_t first,
                                     std::int64_t k0, std::int64_t k_end) {
  const int outer = static_cast<int>(threadIdx.x) / side, inner = static_cast<int>(threadIdx.x) % side;
  const int r = operand.k_innermost ? outer : inner, k = operand.k_innermost ? inner : outer;
  const bool present = first + r < operand.extent && k0 + k < k_end;
  tile[r][k] = present ? static_cast<const float*>(operand.data)[operand.index(first + r, k0 + k)] : 0;
}

__global__ void __launch_bounds__(side* side) shared_tile_kernel(const Arguments p) {
  __shared__ SharedTile a, b;
  const TilePlace tile = tile_at(static_cast<int>(blockIdx.x), tile_grid(p, side, side), 1);
  const std::int64_t first_row = static_cast<std::int64_t>(tile.row) * side;
  const std::int64_t first_column = static_cast<std::int64_t>(tile.column) * side;
  const int y = static_cast<int>(threadIdx.x) / side, x = static_cast<int>(threadIdx.x) % side;
  const bool sums_rows = p.row_sums != nullptr && tile.column == 0;
  float sum = 0, row_sum = 0;
  for (std::int64_t k0 = 0; k0 < p.k; k0 += side) {
    fill(a, operand_a(p), first_row, k0, p.k);
    fill(b, operand_b(p), first_column, k0, p.k);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < side; ++k)
      sum = fmaf(a[y][k], b[x][k], sum);
    if (sums_rows && threadIdx.x < side)
      for (int k = 0; k < side; ++k)
        row_sum += a[x][k];
    __syncthreads();
  }
  if (first_row + y < p.m && first_column + x < p.n)
    store_element<float>(p, first_row + y, first_column + x, sum);
  if (sums_rows && threadIdx.x < side && first_row + x < p.m) store_row_sum(p, first_row + x, row_sum);
}

bool supports(const Arguments& p) { return !p.c_is_bf16; }

void run(const Arguments& p, std::byte*, const Chip&, cudaStream_t stream) {
  launch(shared_tile_kernel, tile_launch(tile_grid(p, side, side), side * side, 0), stream, p);
}

}  // namespace

const Kernel shared_tile{.name = "shared_tile",
                         .arithmetic = Arithmetic::fp32,
                         .minimum_architecture = 0,
                         .supports = supports,
                         .workspace = no_workspace,
                         .run = run};

}  // namespace partita::kernels::cuda::gemm
