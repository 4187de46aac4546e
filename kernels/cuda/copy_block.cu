/// Copies of strided blocks (packing and unpacking what ranks exchange) and changes of an image's memory
/// order.
///
/// The block becomes the fewest loops in the order of the target's memory; every thread takes one element, or
/// one float4 where the innermost loop is contiguous on both sides and everything lies on 16-byte boundaries,
/// and finds its place by dividing. Writes are coalesced wherever the target's innermost stride is 1.
#include <stdexcept>

#include "issue.hpp"
#include "partita/kernels/block_loops.hpp"
#include "partita/kernels/shape.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

struct Loops {
  BlockLoop outer[3];
  BlockLoop inner;
};

__device__ float sum(float a, float b) { return a + b; }
__device__ float4 sum(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

/// `Index` is 32 bits wide where the block has less than 2³¹ elements: divisions of 64 bits are slow.
template <class T, class Index, bool Add>
__global__ void copy_elements(Loops loops, Index n, const T* x, T* y) {
  for (std::int64_t each = thread_index(); each < static_cast<std::int64_t>(n); each += thread_count()) {
    auto rest = static_cast<Index>(each);
    std::int64_t from = 0, to = 0;
    const auto take = [&](const BlockLoop& loop) {
      const auto extent = static_cast<Index>(loop.extent);
      const Index next = rest / extent;
      const auto at = static_cast<std::int64_t>(rest - next * extent);
      from += at * loop.from, to += at * loop.to, rest = next;
    };
    take(loops.inner), take(loops.outer[2]), take(loops.outer[1]);
    from += static_cast<std::int64_t>(rest) * loops.outer[0].from;
    to += static_cast<std::int64_t>(rest) * loops.outer[0].to;
    y[to] = Add ? sum(y[to], x[from]) : x[from];
  }
}

template <class T>
void issue_copy(const Loops& loops, const T* x, T* y, Write write, cudaStream_t stream) {
  std::int64_t n = loops.inner.extent;
  for (const auto& loop : loops.outer)
    n *= loop.extent;
  const LaunchShape shape{.grid = dim3(blocks_for(n)), .block = dim3(elementwise_threads)};
  const bool add = write == Write::accumulate;
  if (n > INT32_MAX)
    return launch(add ? copy_elements<T, std::uint64_t, true> : copy_elements<T, std::uint64_t, false>, shape,
                  stream, loops, static_cast<std::uint64_t>(n), x, y);
  launch(add ? copy_elements<T, std::uint32_t, true> : copy_elements<T, std::uint32_t, false>, shape, stream,
         loops, static_cast<std::uint32_t>(n), x, y);
}

/// The same loops in units of four elements, if that is possible.
bool in_vectors(Loops& loops) {
  bool possible = loops.inner.from == 1 && loops.inner.to == 1 && loops.inner.extent % 4 == 0;
  for (const auto& loop : loops.outer)
    possible = possible && loop.from % 4 == 0 && loop.to % 4 == 0;
  if (!possible) return false;
  loops.inner.extent /= 4;
  for (auto& loop : loops.outer)
    loop.from /= 4, loop.to /= 4;
  return true;
}

constexpr int tile = 32, tile_rows = 8;

/// y[n, c, r] = x[n, r, c] through a tile in shared memory, so that both sides are contiguous along a warp.
__global__ void transpose(std::int64_t batch, std::int64_t rows, std::int64_t columns, const float* x,
                          float* y) {
  __shared__ float values[tile][tile + 1];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * tile,
                     column = static_cast<std::int64_t>(blockIdx.x) * tile;
  const auto tx = static_cast<int>(threadIdx.x);
  for (std::int64_t n = blockIdx.z; n < batch; n += gridDim.z) {
    const float* in = x + n * rows * columns;
    float* out = y + n * rows * columns;
    for (int i = static_cast<int>(threadIdx.y); i < tile; i += tile_rows)
      if (row + i < rows && column + tx < columns) values[i][tx] = in[(row + i) * columns + column + tx];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.y); i < tile; i += tile_rows)
      if (column + i < columns && row + tx < rows) out[(column + i) * rows + row + tx] = values[tx][i];
    __syncthreads();
  }
}

}  // namespace

void copy_block(const BlockExtents& extents, const StridedBlock& from, const float* x, const StridedBlock& to,
                float* y, Write write, cudaStream_t stream) {
  const auto found = loops_of(extents, from, to);
  Loops loops{.outer = {found[0], found[1], found[2]}, .inner = found[3]};
  x += from.offset, y += to.offset;
  if (on_vector_boundary(x, y) && in_vectors(loops))
    return issue_copy(loops, reinterpret_cast<const float4*>(x), reinterpret_cast<float4*>(y), write, stream);
  issue_copy(loops, x, y, write, stream);
}

void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, const float* x, float* y,
             cudaStream_t stream) {
  const std::int64_t channels = image[0], pixels = image[1] * image[2], n = batch * channels * pixels;
  if (n == 0) return;
  if (from == to || channels == 1 || pixels == 1)
    return check(
        cudaMemcpyAsync(y, x, static_cast<std::size_t>(n) * sizeof(float), cudaMemcpyDeviceToDevice, stream),
        "cudaMemcpyAsync");
  const std::int64_t rows = from == Layout::nchw ? channels : pixels,
                     columns = from == Layout::nchw ? pixels : channels;
  const auto tiles = [](std::int64_t extent) { return static_cast<unsigned>((extent + tile - 1) / tile); };
  if (tiles(rows) > 65535) throw std::length_error("an image of more than 2^21 pixels");
  const dim3 grid(tiles(columns), tiles(rows), static_cast<unsigned>(std::min<std::int64_t>(batch, 65535)));
  launch(transpose, {.grid = grid, .block = dim3(tile, tile_rows)}, stream, batch, rows, columns, x, y);
}

}  // namespace partita::kernels::cuda
