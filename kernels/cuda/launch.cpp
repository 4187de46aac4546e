#include "launch.hpp"

#include <new>
#include <stdexcept>
#include <string>

namespace partita::kernels::cuda {

void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // what one call reported is not reported again by the next
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string(call) + ": " + cudaGetErrorName(error) + ": " +
                           cudaGetErrorString(error));
}

}  // namespace partita::kernels::cuda
