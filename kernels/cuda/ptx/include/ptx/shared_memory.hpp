/// The dynamic shared memory of a block, and shared addresses as instructions want them.
#pragma once

#include <cstdint>

namespace partita::ptx {

/// The block's dynamic shared memory, on a boundary of 1,024 bytes.
template <class T>
__device__ __forceinline__ T* shared_memory() {
  extern __shared__ __align__(1024) unsigned char partita_shared_memory[];
  return reinterpret_cast<T*>(partita_shared_memory);
}

/// An address in the shared window.
__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

}  // namespace partita::ptx
