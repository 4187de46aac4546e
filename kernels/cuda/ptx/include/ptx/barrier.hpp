/// Barriers in shared memory that count arrivals and bytes (mbarrier), and barriers of some of a block's
/// threads.
///
/// A barrier completes a phase once all its arrivals came and all expected bytes were copied; phases are told
/// apart by their parity, the first has parity 0. Waiting for parity 1 of a fresh barrier returns at once: so
/// a producer finds all stages of its pipeline empty.
///
/// Source: PTX ISA 9.0, "Parallel Synchronization and Communication Instructions: mbarrier". sm_90 and up.
#pragma once

#include <cstdint>

#include "ptx/shared_memory.hpp"

namespace partita::ptx {

using Barrier = std::uint64_t;

/// One thread prepares a barrier for phases of `arrivals` each.
__device__ __forceinline__ void barrier_init(Barrier* barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
               : "memory");
}

/// Makes prepared barriers known to the copy engine and to the other blocks of the cluster; a barrier of all
/// their threads must follow.
__device__ __forceinline__ void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Arrives and makes this phase wait for `bytes` of copies as well.
__device__ __forceinline__ void barrier_expect(Barrier* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(bytes)
               : "memory");
}

/// Arrives at a barrier of this block.
__device__ __forceinline__ void barrier_arrive(Barrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

/// Arrives at the barrier that lies at the same place in block `cta` of the cluster (which may be this one).
/// It publishes no writes to the other block (`.release.cluster` would, at the price of a fence of the whole
/// device): it says that this thread has done reading.
__device__ __forceinline__ void barrier_arrive_at(Barrier* barrier, unsigned cta) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(cta)
      : "memory");
}

/// Waits until the phase of this parity is complete.
__device__ __forceinline__ void barrier_wait(Barrier* barrier, unsigned parity) {
  const std::uint32_t address = shared_address(barrier);
  std::uint32_t complete = 0;
  while (complete == 0)  // each try waits for a while in hardware
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
        "selp.u32 %0, 1, 0, done;\n"
        "}"
        : "=r"(complete)
        : "r"(address), "r"(parity)
        : "memory");
}

/// A barrier of `threads` threads of the block, a multiple of 32; 0 is __syncthreads's own number.
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace partita::ptx
