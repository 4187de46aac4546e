/// The first rung: a thread for each element of C, which reads its row of op(A) and its column of op(B) from
/// global memory, both again for every element.
///
/// Adds: neighbouring threads take neighbouring columns, so that a warp's reads of op(B) and its writes of C
/// fall into whole memory segments. Bound by loads: two for each multiply-add. It takes any leading
/// dimension and any alignment: where nothing else computes a product, this does.
/// Reported for such a kernel at 4096³ on an RTX A6000: 309 GFLOP/s without and 1,987 with coalesced access
/// of cuBLAS's 23,250 (S. Boehm 2022, siboehm.com/articles/22/CUDA-MMM); not measured here yet.
#include "epilogue.hpp"
#include "ladder.hpp"
#include "launch.hpp"
#include "tiles.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

constexpr int tile_m = 8, tile_n = 32;

__global__ void __launch_bounds__(tile_m* tile_n) naive_kernel(const Arguments p) {
  const TilePlace tile = tile_at(static_cast<int>(blockIdx.x), tile_grid(p, tile_m, tile_n), 1);
  const std::int64_t row = static_cast<std::int64_t>(tile.row) * tile_m + threadIdx.x / tile_n;
  const std::int64_t column = static_cast<std::int64_t>(tile.column) * tile_n + threadIdx.x % tile_n;
  if (row >= p.m) return;
  const Operand op_a = operand_a(p), op_b = operand_b(p);
  const auto *a = static_cast<const float*>(p.a), *b = static_cast<const float*>(p.b);
  if (column < p.n) {
    float sum = 0;
    for (std::int64_t k = 0; k < p.k; ++k)
      sum = fmaf(a[op_a.index(row, k)], b[op_b.index(column, k)], sum);
    store_element<float>(p, row, column, sum);
  }
  if (p.row_sums != nullptr && column == 0) {
    float sum = 0;
    for (std::int64_t k = 0; k < p.k; ++k)
      sum += a[op_a.index(row, k)];
    store_row_sum(p, row, sum);
  }
}

bool supports(const Arguments& p) { return !p.c_is_bf16; }

void run(const Arguments& p, std::byte*, const Chip&, cudaStream_t stream) {
  launch(naive_kernel, tile_launch(tile_grid(p, tile_m, tile_n), tile_m * tile_n, 0), stream, p);
}

}  // namespace

const Kernel naive{.name = "naive",
                   .arithmetic = Arithmetic::fp32,
                   .minimum_architecture = 0,
                   .supports = supports,
                   .workspace = no_workspace,
                   .run = run};

}  // namespace partita::kernels::cuda::gemm
