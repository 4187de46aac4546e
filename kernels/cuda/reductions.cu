/// Sums over the rows of a matrix: b[j] = Σ_i x[i, j]. A block adds the rows of one chunk for 32 columns;
/// where there are several chunks a second launch adds theirs, in order. The order depends on the matrix's
/// extents only.
#include <algorithm>

#include "issue.hpp"
#include "launch.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr int tile_columns = 32, tile_rows = 8;
constexpr std::int64_t chunk_rows = 256;  // at least, of a chunk: one launch for a usual batch

__global__ void sum_chunk(std::int64_t rows, std::int64_t columns, std::int64_t of_chunk, const float* x,
                          bool add, float* out) {
  __shared__ float parts[tile_rows][tile_columns];
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * tile_columns + threadIdx.x;
  const std::int64_t begin = blockIdx.y * of_chunk, end = begin + of_chunk < rows ? begin + of_chunk : rows;
  float sum = 0;
  if (j < columns)
    for (std::int64_t i = begin + threadIdx.y; i < end; i += tile_rows)
      sum += x[i * columns + j];
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || j >= columns) return;
  for (int i = 1; i < tile_rows; ++i)
    sum += parts[i][threadIdx.x];
  float& target = out[blockIdx.y * columns + j];
  target = add ? target + sum : sum;
}

__global__ void sum_chunks(std::int64_t chunks, std::int64_t columns, const float* parts, bool add,
                           float* b) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (j >= columns) return;
  float sum = 0;
  for (std::int64_t i = 0; i < chunks; ++i)
    sum += parts[i * columns + j];
  b[j] = add ? b[j] + sum : sum;
}

}  // namespace

void sum_rows(std::int64_t rows, std::int64_t columns, const float* x, float* b, Write write,
              const Scratch& scratch, cudaStream_t stream) {
  const bool add = write == Write::accumulate;
  if (columns == 0 || (rows == 0 && add)) return;
  std::int64_t of_chunk = chunk_rows;
  const auto chunks = [&] { return (rows + of_chunk - 1) / of_chunk; };
  while (chunks() > 1 && (chunks() > 1024 || chunks() * columns > Scratch::floats))
    of_chunk *= 2;
  const auto count = static_cast<unsigned>(std::max<std::int64_t>(1, chunks()));
  const dim3 grid(static_cast<unsigned>((columns + tile_columns - 1) / tile_columns), count);
  const bool direct = count == 1;
  launch(sum_chunk, {.grid = grid, .block = dim3(tile_columns, tile_rows)}, stream, rows, columns, of_chunk,
         x, direct && add, direct ? b : scratch.rows);
  if (direct) return;
  constexpr unsigned threads = 128;
  launch(sum_chunks,
         {.grid = dim3(static_cast<unsigned>((columns + threads - 1) / threads)), .block = dim3(threads)},
         stream, static_cast<std::int64_t>(count), columns, scratch.rows, add, b);
}

}  // namespace partita::kernels::cuda
