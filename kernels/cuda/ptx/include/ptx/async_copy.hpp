/// Copies from global to shared memory that pass by the registers and are waited for in groups (cp.async).
///
/// Source: PTX ISA 9.0, "Data Movement and Conversion Instructions: Non-bulk copy". sm_80 and up.
#pragma once

#include "ptx/shared_memory.hpp"

namespace partita::ptx {

/// Copies 4 bytes, both sides on a boundary of 4; where not `present`, writes zeros and reads nothing.
__device__ __forceinline__ void copy_async_4(void* shared, const void* global, bool present) {
  asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], 4, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(present ? 4 : 0)
               : "memory");
}

/// Copies 8 bytes, both sides on a boundary of 8; where not `present`, writes zeros and reads nothing.
__device__ __forceinline__ void copy_async_8(void* shared, const void* global, bool present) {
  asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], 8, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(present ? 8 : 0)
               : "memory");
}

/// Copies 16 bytes, both sides on a boundary of 16, and leaves nothing in the L1; where not `present`, writes
/// zeros and reads nothing.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, bool present) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(present ? 16 : 0)
               : "memory");
}

/// Closes this thread's group of copies; a group may be empty.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most `Newer` of this thread's groups are under way. Other threads' copies are seen after a
/// barrier.
template <int Newer>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Newer) : "memory");
}

}  // namespace partita::ptx
