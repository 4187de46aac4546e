/// Copies of boxes between tensors in global memory and shared memory by the copy engine (TMA).
///
/// A tensor map, encoded on the host, holds address, extents, strides, box and swizzle. What a box reaches
/// beyond the tensor is filled with zeros on loading, its bytes counted all the same, and left out on
/// storing. One thread issues a copy for the whole block.
///
/// Source: PTX ISA 9.0, "cp.async.bulk.tensor", "Tensors", "Async proxy". sm_90 and up.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "ptx/barrier.hpp"

namespace partita::ptx {

/// Kernels take it as `const __grid_constant__ TensorMap`.
using TensorMap = CUtensorMap;

/// Loads the box at (x, y), x innermost, to `shared`; its bytes count on the barrier.
__device__ __forceinline__ void tensor_load(void* shared, const TensorMap& map, Barrier* barrier, int x,
                                            int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
      "[%2];" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y)
      : "memory");
}

/// The same to `shared`, and counted on the barrier, at the same places in each block of the cluster whose
/// bit is set.
__device__ __forceinline__ void tensor_load_multicast(void* shared, const TensorMap& map, Barrier* barrier,
                                                      int x, int y, std::uint16_t cta_mask) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
      " [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y), "h"(cta_mask)
      : "memory");
}

/// Stores a box from `shared` to (x, y).
__device__ __forceinline__ void tensor_store(const TensorMap& map, const void* shared, int x, int y) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map),
               "r"(shared_address(shared)), "r"(x), "r"(y)
               : "memory");
}

/// Closes this thread's group of stores.
__device__ __forceinline__ void tensor_store_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Waits until at most N of this thread's groups have still to read their shared memory.
template <int N>
__device__ __forceinline__ void tensor_store_wait() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}

/// Shows this thread's writes to shared memory to the copy engine and the tensor cores.
__device__ __forceinline__ void async_shared_fence() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Fetches a tensor map ahead of its first use.
__device__ __forceinline__ void prefetch(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

}  // namespace partita::ptx
