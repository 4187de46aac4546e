/// Blocks of a cluster: which of them this is, and a barrier of all their threads.
///
/// Source: PTX ISA 9.0, "barrier.cluster", "%cluster_ctarank". sm_90 and up; without a cluster a block is its
/// own.
#pragma once

namespace partita::ptx {

__device__ __forceinline__ unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// What this thread did before is seen by those that waited.
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
__device__ __forceinline__ void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}

}  // namespace partita::ptx
