/// Copies of boxes by the copy engine. A load is done when nothing else can run, or at once, by the machine's
/// order; a store reads shared memory in the wait, or at once.
///
/// Source: PTX ISA 9.0, "cp.async.bulk.tensor", "Tensors"; CUDA driver API, cuTensorMapEncodeTiled.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "ptx/barrier.hpp"

namespace cuda_on_host {
void tensor_load(void* shared, const CUtensorMap&, std::uint64_t* barrier, int x, int y, unsigned ranks);
void tensor_store(const CUtensorMap&, const void* shared, int x, int y);
void tensor_store_commit();
void tensor_store_wait(unsigned unfinished);
unsigned cluster_rank();
}  // namespace cuda_on_host

namespace partita::ptx {

using TensorMap = CUtensorMap;

inline void tensor_load(void* shared, const TensorMap& map, Barrier* barrier, int x, int y) {
  cuda_on_host::tensor_load(shared, map, barrier, x, y, 1U << cuda_on_host::cluster_rank());
}
inline void tensor_load_multicast(void* shared, const TensorMap& map, Barrier* barrier, int x, int y,
                                  std::uint16_t cta_mask) {
  cuda_on_host::tensor_load(shared, map, barrier, x, y, cta_mask);
}
inline void tensor_store(const TensorMap& map, const void* shared, int x, int y) {
  cuda_on_host::tensor_store(map, shared, x, y);
}
inline void tensor_store_commit() { cuda_on_host::tensor_store_commit(); }
template <int N>
void tensor_store_wait() {
  cuda_on_host::tensor_store_wait(N);
}
inline void async_shared_fence() {}
inline void prefetch(const TensorMap&) {}

}  // namespace partita::ptx
