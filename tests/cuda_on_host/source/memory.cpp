/// Device and pinned memory: each allocation between pages that cannot be touched, its last byte (rounded up
/// to 256) directly before the upper one; filled with NaN patterns; and, on the device, out of the host's
/// reach but for kernels and copies. Device memory lies in a file without a name so that other processes can
/// map it (CUDA IPC).
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "machine.hpp"
#include "pages.hpp"
#include "runtime.hpp"

namespace cuda_on_host {
namespace {

constexpr std::size_t boundary = 256;
constexpr std::size_t device_bytes = std::size_t{8} << 30;

cudaError_t allocate(void** memory, std::size_t bytes, MemoryKind kind) {
  Runtime& r = runtime();
  if (!memory) return cudaErrorInvalidValue;
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  const bool on_device = kind != MemoryKind::pinned;
  if (on_device && (bytes > device_bytes || r.allocated + bytes > device_bytes))
    return cudaErrorMemoryAllocation;
  watch_for_stray_accesses();
  Allocation a = reserve(up(up(bytes, boundary), page));
  a.bytes = bytes;
  a.kind = kind;
  if (!map(a, -1)) {
    unmap(a);
    return cudaErrorMemoryAllocation;
  }
  std::memset(a.mapped, poison, a.mapped_bytes);
  a.data = a.mapped + a.mapped_bytes - up(bytes, boundary);
  if (is_protected(a) && !r.accessible) mprotect(a.mapped, a.mapped_bytes, PROT_NONE);
  if (on_device) r.allocated += bytes;
  r.allocations[reinterpret_cast<std::uintptr_t>(a.data)] = a;
  *memory = a.data;
  return cudaSuccess;
}

cudaError_t release(void* memory, bool pinned) {
  Runtime& r = runtime();
  if (!memory) return cudaSuccess;
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  const auto found = r.allocations.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == r.allocations.end()) return cudaErrorInvalidValue;
  const Allocation a = found->second;
  const bool right =
      pinned ? a.kind == MemoryKind::pinned : a.kind == MemoryKind::device || a.kind == MemoryKind::managed;
  if (!right) return cudaErrorInvalidValue;
  force_everything();
  r.allocations.erase(reinterpret_cast<std::uintptr_t>(memory));
  if (!pinned) r.allocated -= a.bytes;
  unmap(a);
  return cudaSuccess;
}

}  // namespace

Allocation* allocation_of(const void* pointer) {
  auto& all = runtime().allocations;
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  auto after = all.upper_bound(address);
  if (after == all.begin()) return nullptr;
  Allocation& a = std::prev(after)->second;
  return address - reinterpret_cast<std::uintptr_t>(a.data) < a.bytes ? &a : nullptr;
}

void check_guards() {
  const Access access;
  // What is found is mended, so that it is told once.
  const auto find = [](std::byte* begin, std::byte* end) {
    std::byte* const at = std::find_if(begin, end, [](std::byte b) { return b != std::byte{poison}; });
    if (at != end) std::memset(begin, poison, static_cast<std::size_t>(end - begin));
    return at == end ? nullptr : at;
  };
  for (const auto& [begin, a] : runtime().allocations) {
    if (!a.mapped || a.kind == MemoryKind::opened) continue;
    const std::byte* at = find(a.mapped, a.data);
    if (!at) at = find(a.data + a.bytes, a.mapped + a.mapped_bytes);
    if (at)
      throw Fault("something wrote at byte " + std::to_string(at - a.data) + " of an allocation of " +
                  std::to_string(a.bytes) + " bytes");
  }
}

std::string describe_address(const void* pointer) {
  const auto* const p = static_cast<const std::byte*>(pointer);
  for (const auto& [begin, a] : runtime().allocations)
    if (a.reserved && p >= a.reserved && p < a.reserved + a.reserved_bytes) {
      const auto offset = p - a.data;
      return (offset >= 0 && static_cast<std::size_t>(offset) < a.bytes ? "host access to byte "
                                                                        : "access to byte ") +
             std::to_string(offset) + " of an allocation of " + std::to_string(a.bytes) + " bytes" +
             (a.on_device() ? " on the device" : "");
    }
  return {};
}

}  // namespace cuda_on_host

using namespace cuda_on_host;

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return api([&] { return allocate(memory, bytes, MemoryKind::device); });
}
cudaError_t cudaMallocManaged(void** memory, std::size_t bytes, unsigned) {
  return api([&] { return allocate(memory, bytes, MemoryKind::managed); });
}
cudaError_t cudaFree(void* memory) {
  return api([&] { return release(memory, false); });
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  return api([&] { return allocate(memory, bytes, MemoryKind::pinned); });
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes, unsigned flags) {
  return cudaHostAlloc(memory, bytes, flags);
}
cudaError_t cudaFreeHost(void* memory) {
  return api([&] { return release(memory, true); });
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  return api([&] {
    if (!memory || bytes == 0) return cudaErrorInvalidValue;
    if (allocation_of(memory)) return cudaErrorHostMemoryAlreadyRegistered;
    Allocation a;
    a.data = static_cast<std::byte*>(memory);
    a.bytes = bytes;
    a.kind = MemoryKind::registered;
    runtime().allocations[reinterpret_cast<std::uintptr_t>(memory)] = a;
    return cudaSuccess;
  });
}
cudaError_t cudaHostUnregister(void* memory) {
  return api([&] {
    const auto found = runtime().allocations.find(reinterpret_cast<std::uintptr_t>(memory));
    if (found == runtime().allocations.end() || found->second.kind != MemoryKind::registered)
      return cudaErrorHostMemoryNotRegistered;
    force_everything();
    runtime().allocations.erase(reinterpret_cast<std::uintptr_t>(memory));
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return api([&] {
    const Allocation* const a = allocation_of(pointer);
    *attributes = {.type = cudaMemoryTypeUnregistered,
                   .device = 0,
                   .devicePointer = nullptr,
                   .hostPointer = const_cast<void*>(pointer)};
    if (!a) return cudaSuccess;
    attributes->type = a->kind == MemoryKind::managed ? cudaMemoryTypeManaged
                       : a->on_device()               ? cudaMemoryTypeDevice
                                                      : cudaMemoryTypeHost;
    attributes->devicePointer = const_cast<void*>(pointer);
    if (attributes->type == cudaMemoryTypeDevice) attributes->hostPointer = nullptr;
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return api([&] {
    *total = device_bytes;
    *free = device_bytes - runtime().allocated;
    return cudaSuccess;
  });
}
