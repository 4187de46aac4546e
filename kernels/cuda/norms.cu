/// Sums of squares in double: each block its part of the vector, cut by its length only; then one block the
/// sums of all blocks.
#include <cmath>

#include "group.hpp"
#include "issue.hpp"
#include "partita/kernels/optimizer.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr std::int64_t of_block = 1 << 12;

__global__ void add_squares(std::int64_t n, const float* x, double* parts) {
  __shared__ double room[block_warps];
  double sum = 0;
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const double value = x[i];
    sum = fma(value, value, sum);
  }
  sum = Block::reduce(sum, Sum(), room);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void add_parts(unsigned count, const double* parts, bool add, double* sum) {
  __shared__ double room[block_warps];
  double all = 0;
  for (unsigned i = threadIdx.x; i < count; i += block_threads)
    all += parts[i];
  all = Block::reduce(all, Sum(), room);
  if (threadIdx.x == 0) *sum = add ? *sum + all : all;
}

__global__ void add_rows_in_order(std::int64_t rows, std::int64_t columns, const double* x, double* total) {
  for (std::int64_t column = thread_index(); column < columns; column += thread_count()) {
    double sum = 0;
    for (std::int64_t row = 0; row < rows; ++row)
      sum += x[row * columns + column];
    total[column] = sum;
  }
}

__global__ void clip_by(std::int64_t n, std::int64_t parts, const double* squares, double limit,
                        double* scale) {
  double sum = 0;
  for (std::int64_t part = 0; part < parts; ++part)
    for (std::int64_t i = part; i < n; i += parts)
      sum += squares[i];
  scale[0] = sqrt(sum);
  scale[1] = clip_factor(scale[0], limit);
}

}  // namespace

void sum_squares(std::int64_t n, const float* x, double* sum, Write write, const Scratch& scratch,
                 cudaStream_t stream) {
  const auto blocks =
      static_cast<unsigned>(std::clamp<std::int64_t>((n + of_block - 1) / of_block, 1, Scratch::blocks));
  launch(add_squares, {.grid = dim3(blocks), .block = dim3(block_threads)}, stream, n, x, scratch.sums);
  launch(add_parts, {.block = dim3(block_threads)}, stream, blocks, scratch.sums, write == Write::accumulate,
         sum);
}

void add_rows(std::int64_t rows, std::int64_t columns, const double* x, double* total, cudaStream_t stream) {
  launch(add_rows_in_order, {.block = dim3(block_threads)}, stream, rows, columns, x, total);
}

void clip(std::int64_t n, std::int64_t parts, const double* squares, double limit, double* scale,
          cudaStream_t stream) {
  launch(clip_by, {}, stream, n, parts, squares, limit, scale);
}

}  // namespace partita::kernels::cuda
