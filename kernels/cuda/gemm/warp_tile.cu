/// Adds to `register_tile`: tiles of warps, and copies that run ahead. The float32 workhorse.
///
/// - A block's tile is cut into tiles of warps (64×64 of 128×256), these into threads' (8×16): a step of k
///   reads 24 elements from shared memory for 128 multiply-adds, in six loads of 16 bytes that meet no bank
///   twice. What a thread reads for the next step of k it reads while it multiplies for this one.
/// - Tiles of op(A) and op(B) come by cp.async, which needs no registers, two tiles ahead of the products,
///   with one barrier for each 16 k.
/// - Blocks take tiles in bands (`tile_at`), so that those at work share operands in the L2.
/// - Narrow and small products get smaller tiles, by a rule of shape and multiprocessors (`choose_tile`).
///
/// After these only issue slots bound it: nothing but the multiply-adds should use them. Reported for
/// a kernel with warps' tiles, without copies ahead, at 4096³ on an RTX A6000: 21,779 GFLOP/s of cuBLAS's
/// 23,250 (S. Boehm 2022, siboehm.com/articles/22/CUDA-MMM, kernel 10); not measured here yet.
#include "epilogue.hpp"
#include "ptx/shared_memory.hpp"
#include "tile_copy.hpp"
#include "warp_tile.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

/// A block of warps_m × warps_n warps of lanes_m × lanes_n threads with thread_m × thread_n sums each.
template <int WarpsM, int WarpsN, int LanesM, int LanesN, int ThreadM, int ThreadN, int Stages, int Blocks>
struct Shape {
  static constexpr int warps_n = WarpsN, lanes_m = LanesM, lanes_n = LanesN;
  static constexpr int thread_m = ThreadM, thread_n = ThreadN;
  static constexpr int warp_m = LanesM * ThreadM, warp_n = LanesN * ThreadN;
  static constexpr int m = WarpsM * warp_m, n = WarpsN * warp_n;
  static constexpr int threads = WarpsM * WarpsN * 32, stages = Stages, blocks = Blocks;
  static constexpr int depth = warp_tile_depth;
  static constexpr int b_offset = depth * tile_pitch(m), stage = b_offset + depth * tile_pitch(n);
  static constexpr int shared_bytes = stages * stage * static_cast<int>(sizeof(float));
  static constexpr int band = 2048 / m;
  static_assert(LanesM * LanesN == 32);
};

template <TileShape shape>
struct ShapeOf;
template <>
struct ShapeOf<TileShape::wide> : Shape<2, 4, 8, 4, 8, 16, 3, 1> {};
template <>
struct ShapeOf<TileShape::medium> : Shape<2, 2, 4, 8, 8, 4, 4, 4> {};
template <>
struct ShapeOf<TileShape::small> : Shape<2, 1, 4, 8, 4, 4, 4, 8> {};

/// What a thread multiplies at one step of k, and its sums.
template <class S>
struct Fragments {
  float a[2][S::thread_m], b[2][S::thread_n], sums[S::thread_m][S::thread_n];

  /// Reads step k of a tile; `a_from` and `b_from` are this thread's first elements in it.
  __device__ __forceinline__ void load(int half, const float* a_from, const float* b_from, int k) {
#pragma unroll
    for (int i = 0; i < S::thread_m; i += 4)
      *reinterpret_cast<float4*>(a[half] + i) =
          *reinterpret_cast<const float4*>(a_from + k * tile_pitch(S::m) + i * S::lanes_m);
#pragma unroll
    for (int j = 0; j < S::thread_n; j += 4)
      *reinterpret_cast<float4*>(b[half] + j) =
          *reinterpret_cast<const float4*>(b_from + k * tile_pitch(S::n) + j * S::lanes_n);
  }

  __device__ __forceinline__ void multiply(int half) {
#pragma unroll
    for (int i = 0; i < S::thread_m; ++i)
#pragma unroll
      for (int j = 0; j < S::thread_n; ++j) {
        const int column = i % 2 == 0 ? j : S::thread_n - 1 - j;  // turning back, one operand stays in place
        sums[i][column] = fmaf(a[half][i], b[half][column], sums[i][column]);
      }
  }
};

/// A block's tile, its piece of the sum and this thread's place in them.
template <class S>
struct Place {
  int row, column;                ///< of the tile
  int thread_row, thread_column;  ///< of this thread's first sum, from there
  int piece;
  KRange range;

  __device__ __forceinline__ Place(const Arguments& p, int pieces) {
    const TileGrid grid = tile_grid(p, S::m, S::n);
    const int block = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
    piece = block / grid.tiles();
    const TilePlace tile = tile_at(block - piece * grid.tiles(), grid, S::band);
    row = tile.row * S::m;
    column = tile.column * S::n;
    const int warp = thread / 32, lane = thread % 32;
    thread_row = warp / S::warps_n * S::warp_m + lane_row(lane, S::lanes_n) * 4;
    thread_column = warp % S::warps_n * S::warp_n + lane_column(lane, S::lanes_n) * 4;
    range = k_range(p.k, S::depth, pieces, piece);
  }
};

/// Stores a block's sums, each piece's in a matrix of its own, one after the other: a row of every thread at
/// a time goes to shared memory, from where whole rows are finished and written.
template <class S>
__device__ __forceinline__ void store(Arguments p, const Place<S>& place, float* shared,
                                      const float (&sums)[S::thread_m][S::thread_n]) {
  constexpr int rows = S::m / S::thread_m, pitch = S::n + 16, fours = S::n / 4;
  const int thread = static_cast<int>(threadIdx.x);
  const int own = place.thread_row / S::warp_m * S::lanes_m + place.thread_row % S::warp_m / 4;
  p.c = static_cast<float*>(p.c) + place.piece * p.m * p.row_c;
  const bool quads = stores_quads<float>(p);
#pragma unroll
  for (int i = 0; i < S::thread_m; ++i) {
    float* buffer = shared + i % 2 * rows * pitch;  // the other one may still be read
#pragma unroll
    for (int j = 0; j < S::thread_n; j += 4)
      *reinterpret_cast<float4*>(buffer + own * pitch + place.thread_column + j * S::lanes_n) = {
          sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]};
    __syncthreads();
#pragma unroll 4
    for (int four = thread; four < rows * fours; four += S::threads) {
      const int y = four / fours, x = four % fours * 4;
      const int row = y / S::lanes_m * S::warp_m + y % S::lanes_m * 4 + i / 4 * 4 * S::lanes_m + i % 4;
      store_four<float>(p, place.row + row, place.column + x,
                        *reinterpret_cast<const float4*>(buffer + y * pitch + x), quads);
    }
  }
}

template <class S, Order order_a, Order order_b>
__global__ void __launch_bounds__(S::threads, S::blocks) warp_tile_kernel(const Arguments p, int pieces) {
  auto* shared = ptx::shared_memory<float>();
  const Place<S> place(p, pieces);
  const int thread = static_cast<int>(threadIdx.x);
  TileCopy<order_a, S::m, S::depth, S::threads> copy_a(operand_a(p), place.row, place.range.begin, thread);
  TileCopy<order_b, S::n, S::depth, S::threads> copy_b(operand_b(p), place.column, place.range.begin, thread);
  const int k = place.range.end - place.range.begin;
  int left_a = k, left_b = p.n > 0 ? k : 0, write = 0, read = 0;
  const auto copy = [&] {
    copy_a.copy(shared + write * S::stage, left_a);
    copy_b.copy(shared + write * S::stage + S::b_offset, left_b);
    ptx::copy_async_commit();
    left_a -= S::depth;
    left_b -= S::depth;
    write = write + 1 == S::stages ? 0 : write + 1;
  };
#pragma unroll
  for (int i = 0; i + 1 < S::stages; ++i)
    copy();
  ptx::copy_async_wait<S::stages - 2>();
  __syncthreads();

  const bool sums_row = p.row_sums != nullptr && place.column == 0 && thread < S::m;
  const float* a = shared + place.thread_row;
  const float* b = shared + S::b_offset + place.thread_column;
  float row_sum = 0;
  Fragments<S> fragments{};
  fragments.load(0, a, b, 0);
  for (int done = 0; done < k; done += S::depth) {
    if (sums_row)
#pragma unroll 4
      for (int i = 0; i < S::depth; ++i)
        row_sum += shared[read * S::stage + i * tile_pitch(S::m) + thread];
#pragma unroll
    for (int i = 0; i < S::depth; ++i) {
      if (i + 1 == S::depth) {  // the next tile is there, and this one's place will be written
        ptx::copy_async_wait<S::stages - 2>();
        __syncthreads();
        read = read + 1 == S::stages ? 0 : read + 1;
      }
      __syncwarp();  // else the compiler moves loads down to where they are used
      fragments.load((i + 1) % 2, a + read * S::stage, b + read * S::stage, (i + 1) % S::depth);
      if (i == 0) copy();
      fragments.multiply(i % 2);
    }
  }
  ptx::copy_async_wait<0>();
  __syncthreads();
  store<S>(p, place, shared, fragments.sums);
  if (const int row = place.row + thread; sums_row && row < p.m) {
    Arguments piece = p;
    piece.row_sums += place.piece * p.m;
    store_row_sum(piece, row, row_sum);
  }
}

template <TileShape shape, Order order_a, Order order_b>
void issue(const Arguments& p, int pieces, cudaStream_t stream) {
  using S = ShapeOf<shape>;
  static_assert(S::m == extent_of(shape).m && S::n == extent_of(shape).n);
  launch(warp_tile_kernel<S, order_a, order_b>,
         tile_launch(tile_grid(p, S::m, S::n), S::threads, S::shared_bytes, pieces), stream, p, pieces);
}

template <TileShape shape>
void issue_fast(const Arguments& p, int pieces, cudaStream_t stream) {
  const bool a = operand_a(p).k_innermost, b = operand_b(p).k_innermost;
  if (a && b) return issue<shape, Order::k_innermost, Order::k_innermost>(p, pieces, stream);
  if (a) return issue<shape, Order::k_innermost, Order::vectors>(p, pieces, stream);
  if (b) return issue<shape, Order::vectors, Order::k_innermost>(p, pieces, stream);
  return issue<shape, Order::vectors, Order::vectors>(p, pieces, stream);
}

bool supports(const Arguments& p) { return !p.c_is_bf16 && counts_in_32_bits(p); }

void run(const Arguments& p, std::byte*, const Chip& chip, cudaStream_t stream) {
  issue_warp_tiles(p, choose_tile(p, copies_fast(p), chip.multiprocessors), 1, stream);
}

}  // namespace

bool copies_fast(const Arguments& p) {
  const Operand a = operand_a(p), b = operand_b(p);
  return p.n > 0 && (a.k_innermost || in_vectors(a, p.k, sizeof(float))) &&
         (b.k_innermost || in_vectors(b, p.k, sizeof(float)));
}

void issue_warp_tiles(const Arguments& p, TileShape shape, int pieces, cudaStream_t stream) {
  switch (shape) {
    case TileShape::wide:
      return issue_fast<TileShape::wide>(p, pieces, stream);
    case TileShape::medium:
      if (copies_fast(p) && !operand_a(p).k_innermost && !operand_b(p).k_innermost)
        return issue<TileShape::medium, Order::vectors, Order::vectors>(p, pieces, stream);
      return issue<TileShape::medium, Order::any, Order::any>(p, pieces, stream);
    case TileShape::small:
      return issue<TileShape::small, Order::any, Order::any>(p, pieces, stream);
  }
}

const Kernel warp_tile{.name = "warp_tile",
                       .arithmetic = Arithmetic::fp32,
                       .minimum_architecture = 80,
                       .supports = supports,
                       .workspace = no_workspace,
                       .run = run};

}  // namespace partita::kernels::cuda::gemm
