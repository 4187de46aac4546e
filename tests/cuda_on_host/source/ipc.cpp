/// CUDA IPC: a handle names process, file and place; another process of the same user maps the file.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "pages.hpp"

namespace {

struct IpcContent {
  char magic[8];
  std::int64_t process, file;
  std::uint64_t mapped_bytes, offset, bytes;
};
constexpr char ipc_magic[8] = "onhost1";

}  // namespace

using namespace cuda_on_host;

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* memory) {
  return api([&] {
    Allocation* const a = allocation_of(memory);
    if (!handle || !a || a->kind != MemoryKind::device) return cudaErrorInvalidValue;
    if (a->file < 0 && !move_to_file(*a)) return cudaErrorMemoryAllocation;
    IpcContent content{.magic = {},
                       .process = getpid(),
                       .file = a->file,
                       .mapped_bytes = a->mapped_bytes,
                       .offset = static_cast<std::uint64_t>(a->data - a->mapped),
                       .bytes = a->bytes};
    std::memcpy(content.magic, ipc_magic, sizeof(ipc_magic));
    static_assert(sizeof(content) <= sizeof(*handle));
    *handle = {};
    std::memcpy(handle, &content, sizeof(content));
    return cudaSuccess;
  });
}

cudaError_t cudaIpcOpenMemHandle(void** memory, cudaIpcMemHandle_t handle, unsigned flags) {
  return api([&] {
    IpcContent content;
    std::memcpy(&content, &handle, sizeof(content));
    if (!memory || flags != cudaIpcMemLazyEnablePeerAccess ||
        std::memcmp(content.magic, ipc_magic, sizeof(ipc_magic)) != 0)
      return cudaErrorInvalidValue;
    if (content.process == getpid())
      return cudaErrorDeviceUninitialized;  // as CUDA: not in the process itself
    const std::string path =
        "/proc/" + std::to_string(content.process) + "/fd/" + std::to_string(content.file);
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) return cudaErrorInvalidResourceHandle;
    watch_for_stray_accesses();
    Allocation a = reserve(content.mapped_bytes);
    a.kind = MemoryKind::opened;
    a.file = file;
    a.bytes = content.bytes;
    a.data = a.mapped + content.offset;
    if (!map(a, file)) {
      unmap(a);
      return cudaErrorInvalidValue;
    }
    if (is_protected(a) && !runtime().accessible) mprotect(a.mapped, a.mapped_bytes, PROT_NONE);
    runtime().allocations[reinterpret_cast<std::uintptr_t>(a.data)] = a;
    *memory = a.data;
    return cudaSuccess;
  });
}

cudaError_t cudaIpcCloseMemHandle(void* memory) {
  return api([&] {
    const auto found = runtime().allocations.find(reinterpret_cast<std::uintptr_t>(memory));
    if (found == runtime().allocations.end() || found->second.kind != MemoryKind::opened)
      return cudaErrorInvalidValue;
    force_everything();
    unmap(found->second);
    runtime().allocations.erase(found);
    return cudaSuccess;
  });
}

cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t*, cudaEvent_t) {
  return api([] { return cudaErrorNotSupported; });
}
cudaError_t cudaIpcOpenEventHandle(cudaEvent_t*, cudaIpcEventHandle_t) {
  return api([] { return cudaErrorNotSupported; });
}
