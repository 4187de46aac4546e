#include "pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>

namespace cuda_on_host {
namespace {

/// Where there are large pages, protecting much memory costs little. Files' pages are small: larger files
/// stay open.
constexpr std::size_t large_page = std::size_t{2} << 20, protected_file = std::size_t{8} << 20;

}  // namespace

Allocation reserve(std::size_t mapped) {
  Allocation a;
  a.mapped_bytes = mapped;
  a.reserved_bytes = mapped + 2 * page + (mapped >= large_page ? large_page : 0);
  void* memory =
      mmap(nullptr, a.reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  a.reserved = static_cast<std::byte*>(memory);
  const auto first = reinterpret_cast<std::uintptr_t>(memory) + page;
  a.mapped = a.reserved + page + (mapped >= large_page ? up(first, large_page) - first : 0);
  return a;
}

bool map(Allocation& a, int file) {
  const int flags = MAP_FIXED | (file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
  if (mmap(a.mapped, a.mapped_bytes, PROT_READ | PROT_WRITE, flags, file, 0) == MAP_FAILED) return false;
  if (file < 0 && a.mapped_bytes >= large_page) madvise(a.mapped, a.mapped_bytes, MADV_HUGEPAGE);
  return true;
}

bool move_to_file(Allocation& a) {
  const Access access;
  const int file = memfd_create("cuda_on_host", MFD_CLOEXEC);
  if (file < 0) return false;
  const auto bytes = static_cast<off_t>(a.mapped_bytes);
  void* const copy = ftruncate(file, bytes) == 0
                         ? mmap(nullptr, a.mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                         : MAP_FAILED;
  if (copy == MAP_FAILED) {
    close(file);
    return false;
  }
  std::memcpy(copy, a.mapped, a.mapped_bytes);
  munmap(copy, a.mapped_bytes);
  a.file = file;
  return map(a, file);
}

bool is_protected(const Allocation& a) {
  return (a.kind == MemoryKind::device || a.kind == MemoryKind::opened) &&
         (a.file < 0 || a.mapped_bytes <= protected_file);
}

void unmap(const Allocation& a) {
  munmap(a.reserved, a.reserved_bytes);
  if (a.file >= 0) close(a.file);
}

namespace {
void protect(int how) {
  for (const auto& [begin, a] : runtime().allocations)
    if (is_protected(a)) mprotect(a.mapped, a.mapped_bytes, how);
}
}  // namespace

Access::Access() : outermost_(!runtime().accessible) {
  if (!outermost_) return;
  runtime().accessible = true;
  protect(PROT_READ | PROT_WRITE);
}

Access::~Access() {
  if (!outermost_) return;
  protect(PROT_NONE);
  runtime().accessible = false;
}

}  // namespace cuda_on_host
