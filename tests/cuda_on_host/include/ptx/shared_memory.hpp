/// The dynamic shared memory of a block, and shared addresses as instructions have them.
#pragma once

#include <cstdint>

#include "cuda_on_host/execution.hpp"

namespace partita::ptx {

template <class T>
T* shared_memory() {
  return reinterpret_cast<T*>(cuda_on_host::shared_window());
}

inline std::uint32_t shared_address(const void* pointer) { return cuda_on_host::shared_address(pointer); }

}  // namespace partita::ptx
