/// Blocks of a cluster.
///
/// Source: PTX ISA 9.0, "barrier.cluster", "%cluster_ctarank".
#pragma once

namespace cuda_on_host {
unsigned cluster_rank();
void cluster_arrive();
void cluster_wait();
}  // namespace cuda_on_host

namespace partita::ptx {

inline unsigned cluster_rank() { return cuda_on_host::cluster_rank(); }
inline void cluster_arrive() { cuda_on_host::cluster_arrive(); }
inline void cluster_wait() { cuda_on_host::cluster_wait(); }
inline void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}

}  // namespace partita::ptx
