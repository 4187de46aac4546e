/// Weight and bias gradients of a convolution as an implicit GEMM: dY [filters, pixels] × imageᵀ [pixels,
/// taps].
///
/// Adds to the gathered product of gather.cu: the sum is long (all pixels of the batch) and the result small,
/// so the sum is what is cut into blocks. Each block adds up a fixed range of slices; a second kernel adds
/// the blocks' sums in a fixed order, so no atomics are needed and the same call gives the same bits. The
/// bias gradient is the sum of the rows of dY, which are in shared memory anyway: blocks of the first column
/// of tiles add them up on the way.
///
/// Here the taps of a block stay the same, so their table is made once, while pixels move: a thread has one
/// pixel of each slice. Traffic: dY is read ⌈taps / tile taps⌉ times, the image ⌈filters / tile filters⌉ ·
/// taps / channels times (from L1 and L2 but for the first), the sums of the splits written and read once.
/// Not measured here yet.
#include "convolution/parameters.hpp"
#include "convolution/register_tile.hpp"
#include "launch.hpp"
#include "ptx/async_copy.hpp"
#include "ptx/shared_memory.hpp"

namespace partita::kernels::cuda::convolution {
namespace {

/// Slices of both operands, copied along pixels and read along filters and taps: the padding spreads that
/// over banks.
template <class T>
struct Shared {
  static constexpr int row_a = T::M + 4, row_b = T::N + 4;
  float a[T::Stages][T::K * row_a];
  float b[T::Stages][T::K * row_b];
  Tap taps[T::N];
};

/// The first slice of a split.
__host__ __device__ constexpr int first_slice(int split, int splits, int slices) {
  return static_cast<int>(static_cast<std::int64_t>(split) * slices / splits);
}

/// Starts the copies of one slice: the thread's pixel of it, for some filters and some taps. What
/// is not there is not read, wherever its address leads.
template <class T>
__device__ __forceinline__ void copy_slice(const ParameterProduct& p, Shared<T>& shared, int slice,
                                           int slot) {
  constexpr int lines_at_once = T::Threads / T::K;
  const int k = static_cast<int>(threadIdx.x) % T::K, first = static_cast<int>(threadIdx.x) / T::K;
  const int pixel = slice * T::K + k, row = static_cast<int>(blockIdx.y) * T::M + first;
  const auto plane = static_cast<std::int64_t>(p.g.plane.value);
  const bool pixel_present = pixel < p.g.pixels;
  const auto [sample, position] = divide(pixel, p.g.plane);
  const float* from = p.dy + (static_cast<std::int64_t>(sample) * p.filters + row) * plane + position;
  float* to = shared.a[slot] + k * Shared<T>::row_a + first;
#pragma unroll
  for (int i = 0; i < T::M; i += lines_at_once) {
    const bool present = pixel_present && row + i < p.filters;
    ptx::copy_async_4(to + i, from + i * plane, present);
  }
  const Anchor at = anchor(p.g, pixel);
  const float* corner = p.image + at.offset;
  to = shared.b[slot] + k * Shared<T>::row_b;
#pragma unroll
  for (int i = first; i < T::N; i += lines_at_once) {
    const Source element = source<false>(p.g, at, shared.taps[i]);
    ptx::copy_async_4(to + i, corner + element.offset, element.present);
  }
}

/// Into the gradient; tap number `taps` is the bias.
__device__ __forceinline__ void add(const ParameterProduct& p, int filter, int tap, float sum) {
  const bool of_bias = tap == p.g.taps;
  if (of_bias && p.dbias == nullptr) return;
  float* to = of_bias ? p.dbias + filter : p.dweight + static_cast<std::int64_t>(filter) * p.g.taps + tap;
  *to = p.accumulate ? *to + sum : sum;
}

/// Where a result goes: to the gradient itself, or to the split's own sums.
__device__ __forceinline__ void store(const ParameterProduct& p, int filter, int tap, float sum) {
  if (p.splits > 1) {
    p.parts[(static_cast<std::int64_t>(blockIdx.z) * p.filters + filter) * (p.g.taps + 1) + tap] = sum;
    return;
  }
  add(p, filter, tap, sum);
}

template <class T>
__global__ void __launch_bounds__(T::Threads, T::BlocksPerMultiprocessor)
    parameter_product(const ParameterProduct p) {
  static_assert(T::Threads >= T::M && T::Threads >= T::N);
  auto& shared = *ptx::shared_memory<Shared<T>>();
  const int thread = static_cast<int>(threadIdx.x), split = static_cast<int>(blockIdx.z);
  const int row_thread = thread / T::ColumnThreads, column_thread = thread % T::ColumnThreads;
  const int begin = first_slice(split, p.splits, p.slices), end = first_slice(split + 1, p.splits, p.slices);
  const int first_filter = static_cast<int>(blockIdx.y) * T::M,
            first_tap = static_cast<int>(blockIdx.x) * T::N;
  if (thread < T::N) shared.taps[thread] = tap(p.g, first_tap + thread);
  __syncthreads();
#pragma unroll
  for (int i = 0; i < T::Stages - 1; ++i) {
    if (begin + i < end) copy_slice<T>(p, shared, begin + i, i);
    ptx::copy_async_commit();
  }
  const bool adds_rows = blockIdx.x == 0 && thread < T::M;
  float sum[T::ThreadM][T::ThreadN] = {}, row_sum = 0.0F;
  int slot = 0, free_slot = T::Stages - 1;
  for (int slice = begin; slice < end; ++slice) {
    ptx::copy_async_wait<T::Stages - 2>();
    __syncthreads();
    if (slice + T::Stages - 1 < end) copy_slice<T>(p, shared, slice + T::Stages - 1, free_slot);
    ptx::copy_async_commit();
    multiply<T, Shared<T>::row_a, Shared<T>::row_b>(sum, shared.a[slot], shared.b[slot], row_thread,
                                                    column_thread);
    if (adds_rows)
#pragma unroll
      for (int k = 0; k < T::K; ++k)
        row_sum += shared.a[slot][k * Shared<T>::row_a + thread];
    free_slot = slot;
    slot = slot + 1 == T::Stages ? 0 : slot + 1;
  }
#pragma unroll
  for (int i = 0; i < T::ThreadM; ++i)
#pragma unroll
    for (int j = 0; j < T::ThreadN; ++j) {
      const int filter = first_filter + owned<T::ThreadM, T::RowThreads>(row_thread, i);
      const int tap = first_tap + owned<T::ThreadN, T::ColumnThreads>(column_thread, j);
      if (filter < p.filters && tap < p.g.taps) store(p, filter, tap, sum[i][j]);
    }
  if (adds_rows && first_filter + thread < p.filters) store(p, first_filter + thread, p.g.taps, row_sum);
}

/// Adds the sums of the splits: 32 results a block, the splits dealt out to its rows of threads, whose sums
/// are then added in the order of the rows.
__global__ void __launch_bounds__(1024) add_parts(const ParameterProduct p) {
  float* shared = ptx::shared_memory<float>();
  const int lanes = static_cast<int>(blockDim.x), lines = static_cast<int>(blockDim.y);
  const int lane = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
  const int results = p.filters * (p.g.taps + 1), result = static_cast<int>(blockIdx.x) * lanes + lane;
  float sum = 0.0F;
  if (result < results)
#pragma unroll 4
    for (int split = line; split < p.splits; split += lines)
      sum += p.parts[static_cast<std::int64_t>(split) * results + result];
  shared[line * lanes + lane] = sum;
  __syncthreads();
  if (line > 0 || result >= results) return;
  for (int other = 1; other < lines; ++other)
    sum += shared[other * lanes + lane];
  const int filter = result / (p.g.taps + 1);
  add(p, filter, result - filter * (p.g.taps + 1), sum);
}

template <class T>
void run_tile(const ParameterProduct& p, const ParameterTiling& tiling, cudaStream_t stream) {
  launch(parameter_product<T>,
         {.grid = dim3(static_cast<unsigned>(tiling.column_tiles), static_cast<unsigned>(tiling.row_tiles),
                       static_cast<unsigned>(tiling.splits)),
          .block = dim3(T::Threads),
          .shared_bytes = sizeof(Shared<T>)},
         stream, p);
}

template <ParameterTile tile, int ThreadM, int ThreadN, int BlocksPerMultiprocessor>
using TileOf = Tile<extents(tile).filters, extents(tile).taps, extents(tile).pixels, ThreadM, ThreadN, 3,
                    BlocksPerMultiprocessor>;

void run_parts(const ParameterProduct& p, const ParameterTiling& tiling, cudaStream_t stream) {
  switch (tiling.tile) {
    case ParameterTile::filters16:
      return run_tile<TileOf<ParameterTile::filters16, 2, 2, 4>>(p, tiling, stream);
    case ParameterTile::filters32:
      return run_tile<TileOf<ParameterTile::filters32, 4, 4, 4>>(p, tiling, stream);
    case ParameterTile::filters64:
      return run_tile<TileOf<ParameterTile::filters64, 4, 4, 4>>(p, tiling, stream);
    case ParameterTile::filters64_wide:
      return run_tile<TileOf<ParameterTile::filters64_wide, 8, 8, 4>>(p, tiling, stream);
    case ParameterTile::filters128:
      return run_tile<TileOf<ParameterTile::filters128, 8, 8, 2>>(p, tiling, stream);
  }
}

}  // namespace

void run(const ParameterProduct& p, const ParameterTiling& tiling, cudaStream_t stream) {
  run_parts(p, tiling, stream);
  if (tiling.splits == 1 || p.filters == 0) return;
  // Few results have many splits and want threads that share them; many results have few splits.
  constexpr unsigned lanes = 32;
  const auto lines = static_cast<unsigned>(std::min(16, (tiling.splits + 3) / 4));
  const auto results = static_cast<unsigned>(p.filters) * static_cast<unsigned>(p.g.taps + 1);
  launch(add_parts,
         {.grid = dim3((results + lanes - 1) / lanes),
          .block = dim3(lanes, lines),
          .shared_bytes = static_cast<unsigned>(lanes * lines * sizeof(float))},
         stream, p);
}

}  // namespace partita::kernels::cuda::convolution
