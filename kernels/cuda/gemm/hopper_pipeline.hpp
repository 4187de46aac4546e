/// The main loop of the Hopper kernel: a ring of stages in shared memory between the producer, which asks the
/// copy engine for tiles, and the consumers, which multiply them.
///
/// A stage's full barrier counts the producer's arrival and all bytes of the stage, those that the other
/// block's multicast brings included. Its empty barrier counts the consumers of both blocks: what a block
/// asks for is written into both.
#pragma once

#include "family.hpp"
#include "hopper_tiles.hpp"
#include "ptx/barrier.hpp"
#include "ptx/cluster.hpp"
#include "ptx/shared_memory.hpp"
#include "ptx/tensor_copy.hpp"
#include "ptx/warpgroup.hpp"

namespace partita::kernels::cuda::gemm::hopper {

using ptx::Barrier;
using ptx::TensorMap;

/// Places of a block's shared memory (`storage`).
template <int TileN>
struct Shared {
  static constexpr Storage places = storage(TileN);
  unsigned char* base;
  __device__ __forceinline__ unsigned char* a(int stage) const { return base + stage * places.stage_bytes; }
  __device__ __forceinline__ unsigned char* b(int stage) const { return a(stage) + 2 * panel_bytes; }
  __device__ __forceinline__ unsigned char* c(int consumer) const {
    return base + places.panels_of_c + consumer * 2 * panel_bytes;
  }
  __device__ __forceinline__ float* row_sums(int consumer) const {
    return reinterpret_cast<float*>(base + places.row_sums) + consumer * 4 * panel;
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
  Raster raster;
  int index, step;
  unsigned rank;
  __device__ explicit Tiles(const Arguments& p)
      : raster(hopper::raster(p.m, p.n, TileN)),
        index(static_cast<int>(blockIdx.x) / cluster),
        step(static_cast<int>(gridDim.x) / cluster),
        rank(ptx::cluster_rank()) {}
  __device__ bool left() const { return index < raster.tiles(); }
  __device__ void next() { index += step; }
  /// Where this block's tile of C begins.
  __device__ Tile begin() const {
    const Tile tile = tile_at(index, raster);
    return {(tile.row * cluster + static_cast<int>(rank)) * tile_m, tile.column * TileN};
  }
};

__device__ __forceinline__ int steps_of(const Arguments& p) {
  return static_cast<int>((p.k + tile_k - 1) / tile_k);
}

/// Asks for one stage: this block's op(A) and, for both blocks, its half of op(B).
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void load_stage(const TensorMap& a, const TensorMap& b, unsigned char* shared_a,
                                           unsigned char* shared_b, Barrier* full, int row, int column, int k,
                                           unsigned rank) {
  constexpr int panels_of_b = TileN / panel / cluster;
  constexpr std::uint16_t both = (1 << cluster) - 1;
  if constexpr (TransposeA) {
    for (int i = 0; i < 2; ++i)
      ptx::tensor_load(shared_a + i * panel_bytes, a, full, row + i * panel, k);
  } else {
    ptx::tensor_load(shared_a, a, full, k, row);
  }
  unsigned char* half = shared_b + rank * panels_of_b * panel_bytes;
  column += static_cast<int>(rank) * panels_of_b * panel;
  if constexpr (TransposeB) {
    ptx::tensor_load_multicast(half, b, full, k, column, both);
  } else {
    for (int i = 0; i < panels_of_b; ++i)
      ptx::tensor_load_multicast(half + i * panel_bytes, b, full, column + i * panel, k, both);
  }
}

/// The producer: fills stages that both blocks' consumers have left.
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void produce(const TensorMap& a, const TensorMap& b, const Arguments& p,
                                        const Shared<TileN>& shared) {
  Position<TileN> at;
  const int steps = steps_of(p);
  for (Tiles<TileN> tiles(p); tiles.left(); tiles.next()) {
    const Tile begin = tiles.begin();
    for (int step = 0; step < steps; ++step, at.advance()) {
      Barrier* full = shared.full(at.stage);
      ptx::barrier_wait(shared.empty(at.stage), at.parity ^ 1);
      ptx::barrier_expect(full, Shared<TileN>::places.stage_bytes);
      load_stage<TileN, TransposeA, TransposeB>(a, b, shared.a(at.stage), shared.b(at.stage), full, begin.row,
                                                begin.column, step * tile_k, tiles.rank);
    }
  }
}

/// Tells the producers of both blocks that this warp has left a stage. Each warp speaks for itself: nothing
/// is said of whether four warps' products end together.
__device__ __forceinline__ void release(Barrier* empty, unsigned thread) {
  __syncwarp();
  if (thread % 32 < cluster) ptx::barrier_arrive_at(empty, thread % 32);
}

/// What a thread adds up of op(A)'s rows, beside the products and while they are in flight: `row_sums` costs
/// no time of its own. Where k is innermost a thread has half of a row, k in eight parts; else every
/// sixteenth k of eight rows.
struct RowSums {
  bool wanted = false;
  float parts[8] = {};

  template <bool TransposeA>
  __device__ __forceinline__ void add(const unsigned char* panel_of_a, unsigned thread) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = static_cast<int>(TransposeA ? thread / 8 + 16 * i : thread / 2);
      const int piece = static_cast<int>(TransposeA ? thread % 8 : thread % 2 * 4 + i);
      const uint4 eight = *reinterpret_cast<const uint4*>(panel_of_a + swizzled(row, piece));
      const unsigned words[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
      for (int word = 0; word < 4; ++word) {  // a bfloat16 is the upper half of a float32
        parts[2 * word] += __uint_as_float(words[word] << 16);
        parts[2 * word + 1] += __uint_as_float(words[word] & 0xFFFF0000u);
      }
    }
  }
};

/// A consumer's half of a tile: its 64 rows of op(A) times op(B). One group of products stays in flight; a
/// stage is left once the group after its own has been issued.
template <int TileN, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void multiply(float (&sums)[TileN / 2], RowSums& rows, const Shared<TileN>& shared,
                                         Position<TileN>& at, int steps, unsigned consumer, unsigned thread) {
  constexpr auto step_a = descriptor_step(!TransposeA), step_b = descriptor_step(TransposeB);
  const auto first_a = descriptor_low(ptx::shared_address(shared.a(0) + consumer * panel_bytes), !TransposeA);
  const auto first_b = descriptor_low(ptx::shared_address(shared.b(0)), TransposeB);
  int before = 0;
  for (int step = 0; step < steps; ++step) {
    const auto offset = static_cast<std::uint32_t>(at.stage * (Shared<TileN>::places.stage_bytes / 16));
    ptx::barrier_wait(shared.full(at.stage), at.parity);
    ptx::warpgroup_fence();
#pragma unroll
    for (unsigned i = 0; i < tile_k / instruction_k; ++i)
      ptx::warpgroup_mma<TileN, TransposeA, !TransposeB>(
          sums, matrix_descriptor(first_a + offset + i * step_a),
          matrix_descriptor(first_b + offset + i * step_b), true);
    ptx::warpgroup_commit();
    if (rows.wanted) rows.add<TransposeA>(shared.a(at.stage) + consumer * panel_bytes, thread);
    ptx::warpgroup_wait<1>();
    if (step > 0) release(shared.empty(before), thread);
    before = at.stage;
    at.advance();
  }
  ptx::warpgroup_wait<0>();
  ptx::warpgroup_settle(sums);
  if (steps > 0) release(shared.empty(before), thread);
}

}  // namespace partita::kernels::cuda::gemm::hopper
