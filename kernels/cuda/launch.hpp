/// How kernels are launched and how calls of the CUDA runtime are checked.
#pragma once

#include <cuda_runtime.h>

#include <utility>

namespace partita::kernels::cuda {

/// Throws std::runtime_error with the call, CUDA's name and text of the error; std::bad_alloc where memory
/// ran out.
void check(cudaError_t error, const char* call);

/// Blocks of threads, dynamic shared memory of each, and how many blocks form a cluster (sm_90 and up).
struct LaunchShape {
  dim3 grid{1, 1, 1}, block{1, 1, 1};
  unsigned shared_bytes = 0;
  unsigned cluster = 1;
};

/// Issues `kernel(arguments…)`; a grid without blocks issues nothing. Kernels that use more than 48 KiB of
/// dynamic shared memory are given leave here.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
            Arguments&&... arguments) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
  if (shape.shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shape.shared_bytes)),
          "cudaFuncSetAttribute");
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = shape.grid;
  configuration.blockDim = shape.block;
  configuration.dynamicSmemBytes = shape.shared_bytes;
  configuration.stream = stream;
  cudaLaunchAttribute cluster{};
  if (shape.cluster > 1) {
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = shape.cluster;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    configuration.attrs = &cluster;
    configuration.numAttrs = 1;
  }
  check(cudaLaunchKernelEx(&configuration, kernel, std::forward<Arguments>(arguments)...),
        "cudaLaunchKernelEx");
}

}  // namespace partita::kernels::cuda
