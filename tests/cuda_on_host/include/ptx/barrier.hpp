/// Barriers in shared memory that count arrivals and bytes, and barriers of some of a block's threads.
///
/// Source: PTX ISA 9.0, "Parallel Synchronization and Communication Instructions: mbarrier", "bar.sync".
#pragma once

#include <cstdint>

#include "cuda_on_host/execution.hpp"

namespace cuda_on_host {
void barrier_init(std::uint64_t* barrier, unsigned arrivals);
void barrier_init_fence();
void barrier_arrive(std::uint64_t* barrier, unsigned bytes);
void barrier_arrive_at(std::uint64_t* barrier, unsigned rank);
void barrier_wait(std::uint64_t* barrier, unsigned parity);
}  // namespace cuda_on_host

namespace partita::ptx {

using Barrier = std::uint64_t;

inline void barrier_init(Barrier* barrier, unsigned arrivals) {
  cuda_on_host::barrier_init(barrier, arrivals);
}
inline void barrier_init_fence() { cuda_on_host::barrier_init_fence(); }
inline void barrier_expect(Barrier* barrier, unsigned bytes) { cuda_on_host::barrier_arrive(barrier, bytes); }
inline void barrier_arrive(Barrier* barrier) { cuda_on_host::barrier_arrive(barrier, 0); }
inline void barrier_arrive_at(Barrier* barrier, unsigned cta) {
  cuda_on_host::barrier_arrive_at(barrier, cta);
}
inline void barrier_wait(Barrier* barrier, unsigned parity) { cuda_on_host::barrier_wait(barrier, parity); }
inline void named_barrier(int id, int threads) {
  cuda_on_host::block_barrier(id, static_cast<unsigned>(threads));
}

}  // namespace partita::ptx
