/// Asks the CUDA runtime for its devices; that there is none, or no driver, is an answer and no error.
#include <cuda_runtime.h>

#include "partita/kernels/cuda/devices.hpp"

namespace partita::kernels::cuda {

DeviceQuery query_devices() {
  DeviceQuery query{.runtime = std::to_string(CUDART_VERSION / 1000) + "." +
                               std::to_string(CUDART_VERSION % 1000 / 10)};
  int count = 0;
  if (const auto error = cudaGetDeviceCount(&count); error != cudaSuccess)
    query.problem = cudaGetErrorString(error);
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (const auto error = cudaGetDeviceProperties(&properties, i); error != cudaSuccess) {
      query.problem = cudaGetErrorString(error);
      continue;
    }
    query.devices.push_back({.name = properties.name,
                             .major = properties.major,
                             .minor = properties.minor,
                             .memory = Bytes(static_cast<std::int64_t>(properties.totalGlobalMem))});
  }
  return query;
}

}  // namespace partita::kernels::cuda
