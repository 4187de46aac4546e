/// Adds to `warp_tile`: blocks that share a sum. A weight gradient is small in M·N and long in k: its tiles
/// are too few for the chip. The sum over k is cut into pieces (`split_of`), each a block's, whose results go
/// to the workspace; a second kernel adds the pieces of each element in their order and finishes it.
///
/// No atomics: the same call gives the same bits. Traffic besides the product's own: each piece's [m, n]
/// written and read once. Not measured here yet.
#include "epilogue.hpp"
#include "partita/kernels/data_type.hpp"
#include "split_k.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

constexpr int threads = 256;

/// The sum of an element's pieces, which lie `distance` apart, in their order.
__device__ __forceinline__ float add_pieces(const float* from, std::int64_t distance, int pieces) {
  float sum = 0;
#pragma unroll 4
  for (int i = 0; i < pieces; ++i)
    sum += from[i * distance];
  return sum;
}

/// A thread for each element of C, then for each row sum.
__global__ void __launch_bounds__(threads)
    add_pieces_kernel(const Arguments p, const float* sums, const float* row_sums, int pieces) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  const std::int64_t elements = p.m * p.n;
  if (index < elements)
    store_element<float>(p, index / p.n, index % p.n, add_pieces(sums + index, elements, pieces));
  else if (p.row_sums != nullptr && index - elements < p.m)
    store_row_sum(p, index - elements, add_pieces(row_sums + (index - elements), p.m, pieces));
}

/// The product whose results are the pieces.
Arguments partial(const Arguments& p, float* sums, float* row_sums) {
  Arguments piece = p;
  piece.c = sums;
  piece.row_c = p.n;
  piece.row_sums = row_sums;
  piece.alpha = 1;
  piece.beta = 0;
  piece.bias = nullptr;
  piece.mask = nullptr;
  piece.relu = false;
  return piece;
}

bool supports(const Arguments& p) { return !p.c_is_bf16 && counts_in_32_bits(p); }

Bytes workspace(const Arguments& p, const Chip& chip) {
  return bytes_of(DataType::float32, Elements(split_floats(p, split_of(p, chip.multiprocessors).pieces)));
}

void run(const Arguments& p, std::byte* workspace, const Chip& chip, cudaStream_t stream) {
  const Split split = split_of(p, chip.multiprocessors);
  if (split.pieces == 1) return issue_warp_tiles(p, split.shape, 1, stream);
  auto* sums = reinterpret_cast<float*>(workspace);
  float* row_sums = p.row_sums != nullptr ? sums + split.pieces * p.m * p.n : nullptr;
  issue_warp_tiles(partial(p, sums, row_sums), split.shape, split.pieces, stream);
  const std::int64_t items = p.m * p.n + (p.row_sums != nullptr ? p.m : 0);
  launch(add_pieces_kernel,
         {.grid = dim3(static_cast<unsigned>(quotient_up(items, threads))), .block = dim3(threads)}, stream,
         p, sums, row_sums, split.pieces);
}

}  // namespace

const Kernel split_k{.name = "split_k",
                     .arithmetic = Arithmetic::fp32,
                     .minimum_architecture = 80,
                     .supports = supports,
                     .workspace = workspace,
                     .run = run};

}  // namespace partita::kernels::cuda::gemm
