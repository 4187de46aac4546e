/// C = epilogue(alpha·op(A)·op(B) + beta·C [+ bias]) of bfloat16 with float32 sums on Hopper (sm_90a).
///
/// What it adds to the bf16 kernel on mma.sync:
/// - `wgmma`: four warps multiply 64 × 256 × 16 at once, both operands read from shared memory by the tensor
/// cores, so
///   that no warp spends registers and instructions on loading fragments.
/// - The copy engine (TMA) brings whole tiles, zero-filled at ragged edges, laid out for the tensor cores;
/// one thread
///   asks for them. All four transpositions are the same kernel: boxes and descriptors differ
///   (hopper_tiles.hpp).
/// - Warp specialisation: a producer runs ahead through a ring of 4 (6) stages with full and empty mbarriers
/// and hands
///   its registers to two consumers, each of which owns 64 rows of the tile and goes on at its own pace.
/// - Clusters of 2 blocks, one above the other in C, share op(B)'s tile: each loads half of it for both
/// (multicast).
/// - Persistent blocks take tiles in bands (`tile_at`), so that what is worked on fits the L2; while
/// consumers write C
///   the producer already fills the ring with the next tile.
/// - The row sums of op(A) (the bias gradient) are added up by the warps that wait for the tensor cores.
/// - C leaves through swizzled panels of shared memory by TMA stores, which overlap what follows.
///
/// Published for H100 by P. Shankhdhar ("Outperforming cuBLAS on H100", 2024), whose ladder ends with the
/// same techniques: 808 TFLOP/s of cuBLAS's 795 at 8192³, 763 of 716 at 4096³.
///
/// Order of sums: along k in steps of 16, whatever the tile; the same call gives the same bits.
#include <cuda_bf16.h>

#include <algorithm>

#include "hopper_bf16.hpp"
#include "hopper_pipeline.hpp"
#include "hopper_store.hpp"
#include "hopper_tiles.hpp"
#include "launch.hpp"
#include "tensor_map.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

using ptx::TensorMap;

/// A consumer warpgroup: multiplies and writes its half of each tile.
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void consume(const TensorMap& c, const Arguments& p,
                                        const hopper::Shared<TileN>& shared, unsigned consumer,
                                        unsigned thread) {
  hopper::Position<TileN> at;
  const int steps = hopper::steps_of(p);
  for (hopper::Tiles<TileN> tiles(p); tiles.left(); tiles.next()) {
    float sums[TileN / 2] = {};
    const hopper::Tile begin = tiles.begin();
    const int row = begin.row + static_cast<int>(consumer) * hopper::panel;
    hopper::RowSums rows{.wanted = p.row_sums != nullptr && begin.column == 0};
    hopper::multiply<TileN, TransposeA, TransposeB>(sums, rows, shared, at, steps, consumer, thread);
    if (rows.wanted)
      hopper::store_row_sums<TransposeA>(rows, p, shared.row_sums(consumer), row, consumer, thread);
    if (p.c_is_bf16)
      hopper::store<TileN, __nv_bfloat16>(sums, c, p, shared.c(consumer), row, begin.column, consumer,
                                          thread);
    else
      hopper::store<TileN, float>(sums, c, p, shared.c(consumer), row, begin.column, consumer, thread);
  }
  if (thread == 0) ptx::tensor_store_wait<0>();
}

template <int TileN, bool TransposeA, bool TransposeB>
__global__ void __launch_bounds__(hopper::threads, 1)
    multiply_tiles(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                   const __grid_constant__ TensorMap c, const __grid_constant__ Arguments p) {
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const hopper::Shared<TileN> shared{ptx::shared_memory<unsigned char>()};
  if (threadIdx.x == 0) {
    for (int i = 0; i < hopper::Shared<TileN>::places.stages; ++i) {
      ptx::barrier_init(shared.full(i), 1);
      ptx::barrier_init(shared.empty(i), 2 * 4 * hopper::cluster);  // warps of both blocks' consumers
    }
    ptx::barrier_init_fence();
    ptx::prefetch(a);
    ptx::prefetch(b);
    ptx::prefetch(c);
  }
  ptx::cluster_sync();
  // 168 registers a thread at entry: 128 · 40 + 256 · 232 make the same total.
  const unsigned warpgroup = __shfl_sync(0xFFFFFFFFu, threadIdx.x / 128, 0), thread = threadIdx.x % 128;
  if (warpgroup == 0) {
    ptx::registers_shrink<40>();
    if (thread == 0) hopper::produce<TileN, TransposeA, TransposeB>(a, b, p, shared);
  } else {
    ptx::registers_grow<232>();
    consume<TileN, TransposeA, TransposeB>(c, p, shared, warpgroup - 1, thread);
  }
  ptx::cluster_sync();  // a block's memory stays while its neighbour may copy to it or arrive at its barriers
#endif
}

int element_bytes_of_c(const Arguments& p) { return p.c_is_bf16 ? 2 : 4; }

/// Boxes are whole panels: 64 of k wide and many rows high, or 64 of M or N wide and 64 of k high.
MatrixBoxes boxes_of_a(const Arguments& p) {
  return {.data = p.a,
          .rows = p.transpose_a ? p.k : p.m,
          .columns = p.transpose_a ? p.m : p.k,
          .row = p.row_a,
          .box_rows = p.transpose_a ? hopper::tile_k : hopper::tile_m,
          .box_columns = hopper::panel};
}
MatrixBoxes boxes_of_b(const Arguments& p, int tile_n) {
  return {.data = p.b,
          .rows = p.transpose_b ? p.n : p.k,
          .columns = p.transpose_b ? p.k : p.n,
          .row = p.row_b,
          .box_rows = p.transpose_b ? tile_n / hopper::cluster : hopper::tile_k,
          .box_columns = hopper::panel};
}
MatrixBoxes boxes_of_c(const Arguments& p) {
  return {.data = p.c,
          .rows = p.m,
          .columns = p.n,
          .row = p.row_c,
          .element_bytes = element_bytes_of_c(p),
          .box_rows = hopper::panel,
          .box_columns = 128 / element_bytes_of_c(p)};
}

bool is_empty(const Arguments& p) { return p.m == 0 || p.n == 0; }

/// The copy engine stores whole pieces of 16 bytes: where a row of C ends within one, it writes on to the
/// piece's end (seen on an H200), over what may be another's.
bool rows_end_with_a_piece(const Arguments& p) { return p.n * element_bytes_of_c(p) % 16 == 0; }

bool supports(const Arguments& p) {
  if (is_empty(p)) return p.row_sums == nullptr || p.m == 0;
  constexpr std::int64_t most = std::int64_t{1} << 30;
  if (hopper::quotient_up(p.m, 256) * hopper::quotient_up(p.n, 128) > most) return false;
  const bool operands = p.k == 0 || (has_tensor_map(boxes_of_a(p)) && has_tensor_map(boxes_of_b(p, 256)));
  return operands && has_tensor_map(boxes_of_c(p)) && rows_end_with_a_piece(p) &&
         reinterpret_cast<std::uintptr_t>(p.mask) % 16 == 0;
}

template <int TileN>
void run_tiles(const Arguments& p, const Chip& chip, cudaStream_t stream) {
  const auto kernel =
      p.transpose_a   ? p.transpose_b ? multiply_tiles<TileN, true, true> : multiply_tiles<TileN, true, false>
        : p.transpose_b ? multiply_tiles<TileN, false, true>
                      : multiply_tiles<TileN, false, false>;
  const int tiles = hopper::raster(p.m, p.n, TileN).tiles();
  const int clusters = std::clamp(chip.multiprocessors / hopper::cluster, 1, tiles);
  const auto c = tensor_map(boxes_of_c(p));
  launch(kernel,
         {.grid = dim3(static_cast<unsigned>(clusters) * hopper::cluster),
          .block = dim3(hopper::threads),
          .shared_bytes = static_cast<unsigned>(hopper::storage(TileN).bytes),
          .cluster = hopper::cluster},
         stream, p.k == 0 ? c : tensor_map(boxes_of_a(p)), p.k == 0 ? c : tensor_map(boxes_of_b(p, TileN)), c,
         p);
}

void run(const Arguments& p, std::byte*, const Chip& chip, cudaStream_t stream) {
  if (is_empty(p)) return;
  if (hopper::choose_tile_n(p.m, p.n, chip.multiprocessors) == 256)
    run_tiles<256>(p, chip, stream);
  else
    run_tiles<128>(p, chip, stream);
}

}  // namespace

const Kernel hopper_bf16{.name = "hopper_bf16",
                         .arithmetic = Arithmetic::bf16,
                         .minimum_architecture = 90,
                         .supports = supports,
                         .workspace = [](const Arguments&, const Chip&) { return Bytes(0); },
                         .run = run,
                         .maximum_architecture = 90};

}  // namespace partita::kernels::cuda::gemm
