/// The device that programs find, errors' names, kernels' attributes.
#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cuda.h"
#include "machine.hpp"
#include "nvtx3/nvToolsExt.h"
#include "runtime.hpp"

namespace cuda_on_host {

Runtime& runtime() {
  static Runtime& one = *new Runtime;  // outlives what destructors of other objects ask of it
  return one;
}

void set_devices(int count, int major, int minor) {
  runtime().devices = count;
  runtime().major = major;
  runtime().minor = minor;
}

std::string describe_kernel(const void* kernel) {
  Dl_info info{};
  if (dladdr(const_cast<void*>(kernel), &info) != 0 && info.dli_sname) {
    int status = 0;
    char* const name = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
    std::string result = status == 0 ? name : info.dli_sname;
    std::free(name);
    return result;
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%p", kernel);
  return text;
}

namespace {
constexpr int shared_optin = 227 * 1024;
constexpr int multiprocessors = 4;  // few: kernels that are made for one wave stay small
constexpr int l2_bytes = 1 << 20;
}  // namespace
}  // namespace cuda_on_host

using namespace cuda_on_host;

cudaError_t cudaGetDeviceCount(int* count) {
  return api([&] {
    *count = runtime().devices;
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  return api([&] {
    const Runtime& r = runtime();
    if (!p || device < 0 || device >= r.devices) return cudaErrorInvalidDevice;
    *p = {};
    std::strcpy(p->name, "CUDA on the host");
    std::size_t free = 0;
    cudaMemGetInfo(&free, &p->totalGlobalMem);
    p->sharedMemPerBlock = 48 * 1024;
    p->sharedMemPerBlockOptin = shared_optin;
    p->sharedMemPerMultiprocessor = shared_optin + 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7FFFFFFF;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->major = r.major;
    p->minor = r.minor;
    p->multiProcessorCount = multiprocessors;
    p->l2CacheSize = l2_bytes;
    p->unifiedAddressing = p->canMapHostMemory = p->managedMemory = p->concurrentKernels = 1;
    p->clusterLaunch = r.major >= 9;
    p->asyncEngineCount = 2;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (const auto error = cudaGetDeviceProperties(&p, device); error != cudaSuccess) return error;
  return api([&] {
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
        *value = p.maxThreadsPerBlock;
        break;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = static_cast<int>(p.sharedMemPerBlock);
        break;
      case cudaDevAttrWarpSize:
        *value = p.warpSize;
        break;
      case cudaDevAttrMultiProcessorCount:
        *value = p.multiProcessorCount;
        break;
      case cudaDevAttrL2CacheSize:
        *value = p.l2CacheSize;
        break;
      case cudaDevAttrUnifiedAddressing:
        *value = 1;
        break;
      case cudaDevAttrComputeCapabilityMajor:
        *value = p.major;
        break;
      case cudaDevAttrComputeCapabilityMinor:
        *value = p.minor;
        break;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = static_cast<int>(p.sharedMemPerMultiprocessor);
        break;
      case cudaDevAttrManagedMemory:
        *value = 1;
        break;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = shared_optin;
        break;
      case cudaDevAttrClusterLaunch:
        *value = p.clusterLaunch;
        break;
      case cudaDevAttrClockRate:
      case cudaDevAttrMemoryClockRate:
        *value = 1'000'000;
        break;
      case cudaDevAttrGlobalMemoryBusWidth:
        *value = 64;
        break;
      default:
        *value = 0;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return api([&] {
    if (runtime().devices == 0) return cudaErrorNoDevice;
    if (device < 0 || device >= runtime().devices) return cudaErrorInvalidDevice;
    runtime().device = device;
    return cudaSuccess;
  });
}
cudaError_t cudaGetDevice(int* device) {
  return api([&] {
    *device = runtime().device;
    return cudaSuccess;
  });
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = runtime().devices > 0 ? CUDART_VERSION : 0;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  std::snprintf(text, static_cast<std::size_t>(length), "0000:%02x:00.0",
                static_cast<unsigned>(device) & 0xFF);
  return cudaSuccess;
}
cudaError_t cudaDeviceReset() { return cudaDeviceSynchronize(); }
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) {
  return api([] { return cudaErrorNotSupported; });
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long, cudaDriverEntryPointQueryResult* result) {
  return api([&] {
    const bool known = std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0 && runtime().major >= 9;
    *function = known ? reinterpret_cast<void*>(&cuTensorMapEncodeTiled) : nullptr;
    if (result) *result = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
  });
}
cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** function, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(symbol, function, CUDART_VERSION, flags, result);
}

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(runtime().mutex);
  return std::exchange(runtime().last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() { return runtime().last_error; }

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return api([&] {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || value > shared_optin) return cudaErrorInvalidValue;
    runtime().shared_bytes_allowed[kernel] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  return api([&] {
    *attributes = {};
    attributes->maxThreadsPerBlock = 1024;
    attributes->ptxVersion = attributes->binaryVersion = runtime().major * 10 + runtime().minor;
    const auto found = runtime().shared_bytes_allowed.find(kernel);
    attributes->maxDynamicSharedSizeBytes =
        found == runtime().shared_bytes_allowed.end() ? 48 * 1024 : static_cast<int>(found->second);
    return cudaSuccess;
  });
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          std::size_t shared_bytes) {
  return api([&] {
    if (threads < 1 || threads > 1024) return cudaErrorInvalidValue;
    const auto by_memory = (shared_optin + 1024) / static_cast<int>(shared_bytes + 1024);
    *blocks = std::min({32, 2048 / threads, by_memory});
    return cudaSuccess;
  });
}

int nvtxRangePushA(const char*) {
  static_cast<void>(++machine().counts.ranges);
  return 0;
}
int nvtxRangePop() { return 0; }
void nvtxMarkA(const char*) {}
