/// Between float32 and bfloat16. Operands of bfloat16 products are cast where they are used: what training
/// keeps is float32. Rows may be padded on the way, since 16-byte copies and tensor maps want rows on 16-byte
/// boundaries.
#include <algorithm>
#include <cstring>

#include "cast.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

__global__ void cast_rows(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t row_from,
                          __nv_bfloat16* to, std::int64_t row_to) {
  for (std::int64_t i = blockIdx.y; i < rows; i += gridDim.y)
    for (std::int64_t j = thread_index(); j < row_to; j += thread_count())
      to[i * row_to + j] = __float2bfloat16_rn(j < columns ? from[i * row_from + j] : 0.0F);
}

/// Eight elements a thread: rows lie behind each other on both sides, `n` is a multiple of 8.
__global__ void cast_vectors(std::int64_t n, const float4* from, uint4* to) {
  for (std::int64_t i = thread_index(); i < n / 8; i += thread_count()) {
    const float4 low = from[2 * i], high = from[2 * i + 1];
    const float values[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    __nv_bfloat16 out[8];
#pragma unroll
    for (int j = 0; j < 8; ++j)
      out[j] = __float2bfloat16_rn(values[j]);
    uint4 whole;
    memcpy(&whole, out, sizeof(whole));
    to[i] = whole;
  }
}

}  // namespace

void to_bf16(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t row_from,
             __nv_bfloat16* to, std::int64_t row_to, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const dim3 block(elementwise_threads);
  if (row_from == columns && row_to == columns && rows * columns % 8 == 0 && on_vector_boundary(from, to)) {
    const std::int64_t n = rows * columns;
    return launch(cast_vectors, {.grid = dim3(blocks_for(n / 8)), .block = block}, stream, n,
                  reinterpret_cast<const float4*>(from), reinterpret_cast<uint4*>(to));
  }
  const dim3 grid(blocks_for(row_to, 1024), static_cast<unsigned>(std::min<std::int64_t>(rows, 65535)));
  launch(cast_rows, {.grid = grid, .block = block}, stream, rows, columns, from, row_from, to, row_to);
}

}  // namespace partita::kernels::cuda
