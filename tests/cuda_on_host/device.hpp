/// Launching kernels and holding device memory in the emulation's own tests.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda_on_host/control.hpp"

namespace cuda_on_host::testing {

struct Shape {
  dim3 grid = 1, block = 1;
  std::size_t shared_bytes = 0;
  unsigned cluster = 1;
};

/// Issues a kernel.
template <class... Parameters, class... Arguments>
void issue(void (*kernel)(Parameters...), const Shape& shape, cudaStream_t stream, Arguments... arguments) {
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = shape.grid;
  configuration.blockDim = shape.block;
  configuration.dynamicSmemBytes = shape.shared_bytes;
  configuration.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {shape.cluster, 1, 1};
  if (shape.cluster > 1) {
    configuration.attrs = &attribute;
    configuration.numAttrs = 1;
  }
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024);
  ASSERT_EQ(cudaSuccess, cudaLaunchKernelEx(&configuration, kernel, arguments...));
}

/// The same on the legacy stream, and waits.
template <class... Parameters, class... Arguments>
void run(void (*kernel)(Parameters...), const Shape& shape, Arguments... arguments) {
  issue(kernel, shape, nullptr, arguments...);
  ASSERT_EQ(cudaSuccess, cudaDeviceSynchronize());
}

/// Device memory with a test's values.
template <class T>
struct Array {
  T* data = nullptr;
  std::size_t count;
  explicit Array(const std::vector<T>& values) : count(values.size()) {
    EXPECT_EQ(cudaSuccess, cudaMalloc(&data, count * sizeof(T)));
    EXPECT_EQ(cudaSuccess, cudaMemcpy(data, values.data(), count * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~Array() { cudaFree(data); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  std::vector<T> get() const {
    std::vector<T> values(count);
    EXPECT_EQ(cudaSuccess, cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
};
using Floats = Array<float>;

/// The text of the fault that `body` ends with, or nothing.
template <class Body>
std::string fault_of(Body&& body) {
  try {
    body();
  } catch (const Fault& fault) {
    return fault.what();
  }
  return "";
}

/// Small whole numbers, exact in bfloat16 and tf32, and their products' sums in float.
inline std::vector<float> whole_numbers(std::size_t n, unsigned seed) {
  std::vector<float> v(n);
  for (auto& x : v) {
    seed = seed * 1664525 + 1013904223;
    x = static_cast<float>(seed >> 24 & 15) - 7;
  }
  return v;
}

}  // namespace cuda_on_host::testing
