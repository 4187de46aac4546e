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
/// - C leaves through swizzled panels of shared memory by TMA stores, which overlap what follows.
///
/// Published for H100 by P. Shankhdhar ("Outperforming cuBLAS on H100", 2024), whose ladder ends with the
/// same techniques: 107 % of cuBLAS at 8192³. Not measured here yet.
///
/// Order of sums: along k in steps of 16, whatever the tile; the same call gives the same bits.
#include <cuda_bf16.h>

#include <algorithm>

#include "hopper_bf16.hpp"
#include "hopper_tiles.hpp"
#include "launch.hpp"
#include "ptx/barrier.hpp"
#include "ptx/cluster.hpp"
#include "ptx/shared_memory.hpp"
#include "ptx/tensor_copy.hpp"
#include "ptx/warpgroup.hpp"
#include "tensor_map.hpp"

namespace partita::kernels::cuda::gemm {
namespace {

using ptx::Barrier;
using ptx::TensorMap;

/// Places of a block's shared memory (`hopper::storage`).
template <int TileN>
struct Shared {
  static constexpr hopper::Storage places = hopper::storage(TileN);
  unsigned char* base;
  __device__ __forceinline__ unsigned char* a(int stage) const { return base + stage * places.stage_bytes; }
  __device__ __forceinline__ unsigned char* b(int stage) const { return a(stage) + 2 * hopper::panel_bytes; }
  __device__ __forceinline__ unsigned char* c(int consumer) const {
    return base + places.panels_of_c + consumer * 2 * hopper::panel_bytes;
  }
  __device__ __forceinline__ Barrier* full(int stage) const {
    return reinterpret_cast<Barrier*>(base + places.barriers) + stage;
  }
  __device__ __forceinline__ Barrier* empty(int stage) const { return full(places.stages + stage); }
};

/// Where producer and consumers are in the ring of stages.
template <int TileN>
struct Position {
  int stage = 0;
  unsigned parity = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == Shared<TileN>::places.stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// The tiles of this block: one of the cluster's pair, every so many.
template <int TileN>
struct Tiles {
  hopper::Raster raster;
  std::int64_t index, step;
  unsigned rank;
  __device__ explicit Tiles(const Arguments& p)
      : raster(hopper::raster(p.m, p.n, TileN)),
        index(blockIdx.x / hopper::cluster),
        step(gridDim.x / hopper::cluster),
        rank(ptx::cluster_rank()) {}
  __device__ bool left() const { return index < raster.tiles(); }
  __device__ void next() { index += step; }
  __device__ int row() const {
    return static_cast<int>(hopper::tile_at(index, raster).row * hopper::cluster + rank) * hopper::tile_m;
  }
  __device__ int column() const { return static_cast<int>(hopper::tile_at(index, raster).column) * TileN; }
};

__device__ __forceinline__ int steps_of(const Arguments& p) {
  return static_cast<int>((p.k + hopper::tile_k - 1) / hopper::tile_k);
}

/// Asks for one stage: this block's op(A) and, for both blocks, its half of op(B).
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void load_stage(const TensorMap& a, const TensorMap& b, unsigned char* shared_a,
                                           unsigned char* shared_b, Barrier* full, int row, int column, int k,
                                           unsigned rank) {
  constexpr int panels_of_b = TileN / hopper::panel / hopper::cluster;
  constexpr std::uint16_t both = (1 << hopper::cluster) - 1;
  if constexpr (TransposeA) {
    for (int i = 0; i < 2; ++i)
      ptx::tensor_load(shared_a + i * hopper::panel_bytes, a, full, row + i * hopper::panel, k);
  } else {
    ptx::tensor_load(shared_a, a, full, k, row);
  }
  unsigned char* half = shared_b + rank * panels_of_b * hopper::panel_bytes;
  column += static_cast<int>(rank) * panels_of_b * hopper::panel;
  if constexpr (TransposeB) {
    ptx::tensor_load_multicast(half, b, full, k, column, both);
  } else {
    for (int i = 0; i < panels_of_b; ++i)
      ptx::tensor_load_multicast(half + i * hopper::panel_bytes, b, full, column + i * hopper::panel, k,
                                 both);
  }
}

/// The producer: fills stages that both blocks' consumers have left.
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void produce(const TensorMap& a, const TensorMap& b, const Arguments& p,
                                        const Shared<TileN>& shared) {
  Position<TileN> at;
  const int steps = steps_of(p);
  for (Tiles<TileN> tiles(p); tiles.left(); tiles.next()) {
    const int row = tiles.row(), column = tiles.column();
    for (int step = 0; step < steps; ++step, at.advance()) {
      Barrier* full = shared.full(at.stage);
      ptx::barrier_wait(shared.empty(at.stage), at.parity ^ 1);
      ptx::barrier_expect(full, Shared<TileN>::places.stage_bytes);
      load_stage<TileN, TransposeA, TransposeB>(a, b, shared.a(at.stage), shared.b(at.stage), full, row,
                                                column, step * hopper::tile_k, tiles.rank);
    }
  }
}

/// Tells the producers of both blocks that this warpgroup has left a stage.
__device__ __forceinline__ void release(Barrier* empty, unsigned thread) {
  if (thread < hopper::cluster) ptx::barrier_arrive_at(empty, thread);
}

/// A consumer's half of a tile: its 64 rows of op(A) times op(B). One group of products stays in flight; a
/// stage is left once the group after its own has been issued.
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void multiply(float (&sums)[TileN / 2], const Shared<TileN>& shared,
                                         Position<TileN>& at, int steps, unsigned consumer, unsigned thread) {
  constexpr auto step_a = hopper::descriptor_step(!TransposeA), step_b = hopper::descriptor_step(!TransposeB);
  const auto first_a = hopper::matrix_descriptor(
      ptx::shared_address(shared.a(0) + consumer * hopper::panel_bytes), !TransposeA);
  const auto first_b = hopper::matrix_descriptor(ptx::shared_address(shared.b(0)), TransposeB);
  int before = 0;
  for (int step = 0; step < steps; ++step) {
    const std::uint64_t offset =
        static_cast<std::uint64_t>(at.stage) * (Shared<TileN>::places.stage_bytes / 16);
    ptx::barrier_wait(shared.full(at.stage), at.parity);
    ptx::warpgroup_fence();
#pragma unroll
    for (int i = 0; i < hopper::tile_k / hopper::instruction_k; ++i)
      ptx::warpgroup_mma<TileN, TransposeA, !TransposeB>(sums, first_a + offset + i * step_a,
                                                         first_b + offset + i * step_b, true);
    ptx::warpgroup_commit();
    ptx::warpgroup_wait<1>();
    if (step > 0) release(shared.empty(before), thread);
    before = at.stage;
    at.advance();
  }
  ptx::warpgroup_wait<0>();
  ptx::warpgroup_settle(sums);
  if (steps > 0) release(shared.empty(before), thread);
}

__device__ __forceinline__ float as_float(float value) { return value; }
__device__ __forceinline__ float as_float(__nv_bfloat16 value) { return __bfloat162float(value); }

/// Two neighbours of a row, as C holds them.
template <class Element>
struct alignas(2 * sizeof(Element)) Pair {
  Element first, second;
};
__device__ __forceinline__ void put(float* to, float first, float second) {
  *reinterpret_cast<Pair<float>*>(to) = {first, second};
}
__device__ __forceinline__ void put(__nv_bfloat16* to, float first, float second) {
  *reinterpret_cast<Pair<__nv_bfloat16>*>(to) = {__float2bfloat16_rn(first), __float2bfloat16_rn(second)};
}

/// Reads what lies under `Count` sums of this thread, which begin with sum `from`, in a matrix that lies as
/// C; zeros beyond its edges. (row, column) is where the warpgroup's tile begins.
template <int Count, class Element>
__device__ __forceinline__ void read_fragment(float (&values)[Count], const Element* matrix,
                                              const Arguments& p, int row, int column, int from,
                                              unsigned thread) {
#pragma unroll
  for (int i = 0; i < Count; i += 2) {
    const std::int64_t y = row + hopper::fragment_row(thread, from + i);
    const std::int64_t x = column + hopper::fragment_column(thread, from + i);
    const Element* element = matrix + y * p.row_c + x;
    values[i] = values[i + 1] = 0;
    if (y < p.m && x + 1 < p.n) {
      const auto pair = *reinterpret_cast<const Pair<Element>*>(element);
      values[i] = as_float(pair.first);
      values[i + 1] = as_float(pair.second);
    } else if (y < p.m && x < p.n) {
      values[i] = as_float(*element);
    }
  }
}

/// The epilogue of `Count` sums from number `from` on: alpha, beta·C, bias, ReLU or mask.
template <int Count, class Element>
__device__ __forceinline__ void finish(float (&values)[Count], const Arguments& p, int row, int column,
                                       int from, unsigned thread) {
#pragma unroll
  for (int i = 0; i < Count; ++i)
    values[i] *= p.alpha;
  float other[Count];
  if (p.beta != 0) {
    read_fragment(other, static_cast<const Element*>(p.c), p, row, column, from, thread);
#pragma unroll
    for (int i = 0; i < Count; ++i)
      values[i] = fmaf(p.beta, other[i], values[i]);
  }
  if (p.bias != nullptr) {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      const int x = column + hopper::fragment_column(thread, from + i);
      values[i] += x < p.n ? p.bias[x] : 0;
    }
  }
  if (p.relu) {
#pragma unroll
    for (int i = 0; i < Count; ++i)
      values[i] = values[i] < 0 ? 0 : values[i];
  }
  if (p.mask != nullptr) {
    read_fragment(other, static_cast<const Element*>(p.mask), p, row, column, from, thread);
#pragma unroll
    for (int i = 0; i < Count; ++i)
      values[i] = other[i] > 0 ? values[i] : 0;
  }
}

/// Writes a consumer's 64 rows of C, a panel at a time through two of shared memory: while the copy engine
/// reads one, the other is filled. Stores of 4 bytes (bfloat16) meet no bank twice thanks to the swizzle, of
/// 8 (float32) twice.
template <int TileN, class Element>
__device__ __forceinline__ void store(const float (&sums)[TileN / 2], const TensorMap& c, const Arguments& p,
                                      unsigned char* panels, int row, int column, unsigned consumer,
                                      unsigned thread) {
  constexpr int columns = 128 / sizeof(Element), count = columns / 2;
#pragma unroll
  for (int part = 0; part < TileN / columns; ++part) {
    unsigned char* target = panels + part % 2 * hopper::panel_bytes;
    float values[count];
#pragma unroll
    for (int i = 0; i < count; ++i)
      values[i] = sums[part * count + i];
    finish<count, Element>(values, p, row, column, part * count, thread);
    if (thread == 0) ptx::tensor_store_wait<1>();
    ptx::named_barrier(1 + static_cast<int>(consumer), 128);
#pragma unroll
    for (int i = 0; i < count; i += 2) {
      const int y = hopper::fragment_row(thread, i);
      const int byte = hopper::fragment_column(thread, i) * static_cast<int>(sizeof(Element));
      put(reinterpret_cast<Element*>(target + hopper::swizzled(y, byte / 16) + byte % 16), values[i],
          values[i + 1]);
    }
    ptx::async_shared_fence();
    ptx::named_barrier(1 + static_cast<int>(consumer), 128);
    if (thread == 0) {
      if (row < p.m && column + part * columns < p.n)
        ptx::tensor_store(c, target, column + part * columns, row);
      ptx::tensor_store_commit();
    }
  }
}

/// A consumer warpgroup: multiplies and writes its half of each tile.
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void consume(const TensorMap& c, const Arguments& p, const Shared<TileN>& shared,
                                        unsigned consumer, unsigned thread) {
  Position<TileN> at;
  const int steps = steps_of(p);
  for (Tiles<TileN> tiles(p); tiles.left(); tiles.next()) {
    float sums[TileN / 2] = {};
    multiply<TileN, TransposeA, TransposeB>(sums, shared, at, steps, consumer, thread);
    const int row = tiles.row() + static_cast<int>(consumer) * hopper::panel;
    if (p.c_is_bf16)
      store<TileN, __nv_bfloat16>(sums, c, p, shared.c(consumer), row, tiles.column(), consumer, thread);
    else
      store<TileN, float>(sums, c, p, shared.c(consumer), row, tiles.column(), consumer, thread);
  }
  if (thread == 0) ptx::tensor_store_wait<0>();
}

template <int TileN, bool TransposeA, bool TransposeB>
__global__ void __launch_bounds__(hopper::threads, 1)
    multiply_tiles(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                   const __grid_constant__ TensorMap c, const __grid_constant__ Arguments p) {
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const Shared<TileN> shared{ptx::shared_memory<unsigned char>()};
  if (threadIdx.x == 0) {
    for (int i = 0; i < Shared<TileN>::places.stages; ++i) {
      ptx::barrier_init(shared.full(i), 1);
      ptx::barrier_init(shared.empty(i), 2 * hopper::cluster);  // consumers of both blocks
    }
    ptx::barrier_init_fence();
    ptx::prefetch(a);
    ptx::prefetch(b);
    ptx::prefetch(c);
  }
  ptx::cluster_sync();
  // 168 registers a thread at entry: 128 · 40 + 256 · 232 make the same total.
  const unsigned warpgroup = threadIdx.x / 128, thread = threadIdx.x % 128;
  if (warpgroup == 0) {
    ptx::registers_shrink<40>();
    if (thread == 0) produce<TileN, TransposeA, TransposeB>(a, b, p, shared);
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

bool supports(const Arguments& p) {
  if (p.row_sums != nullptr) return false;
  if (is_empty(p)) return true;
  const bool operands = p.k == 0 || (has_tensor_map(boxes_of_a(p)) && has_tensor_map(boxes_of_b(p, 256)));
  return operands && has_tensor_map(boxes_of_c(p)) && reinterpret_cast<std::uintptr_t>(p.mask) % 16 == 0;
}

template <int TileN>
void run_tiles(const Arguments& p, const Chip& chip, cudaStream_t stream) {
  const auto kernel =
      p.transpose_a   ? p.transpose_b ? multiply_tiles<TileN, true, true> : multiply_tiles<TileN, true, false>
        : p.transpose_b ? multiply_tiles<TileN, false, true>
                      : multiply_tiles<TileN, false, false>;
  const auto clusters = std::clamp<std::int64_t>(chip.multiprocessors / hopper::cluster, 1,
                                                 hopper::raster(p.m, p.n, TileN).tiles());
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

const Kernel hopper_bf16{.name = "hopper-bf16",
                         .arithmetic = Arithmetic::bf16,
                         .minimum_architecture = 90,
                         .supports = supports,
                         .workspace = [](const Arguments&, const Chip&) { return Bytes(0); },
                         .run = run,
                         .maximum_architecture = 90};

}  // namespace partita::kernels::cuda::gemm
