/// Files in memory, mapped so that huge pages fit where the system gives them.
#include "shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <utility>

#include "partita/kernels/host_pages.hpp"

namespace partita::comm {
namespace {

constexpr const char* folder_of_names = "/dev/shm";

/// Reserved, so that a full /dev/shm is seen here and not at the first store. The name is drawn: processes of
/// several containers have the same number.
int make_named(SharedMemory::Address& address) {
  std::random_device draw;
  std::snprintf(address.path.data(), address.path.size(), "%s/partita-%08x%08x", folder_of_names, draw(),
                draw());
  const int file = open(address.path.data(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0 && posix_fallocate(file, 0, static_cast<off_t>(address.bytes)) == 0) return file;
  if (file >= 0) {
    unlink(address.path.data());
    close(file);
  }
  return -1;
}

int make_unnamed(SharedMemory::Address& address) {
  const int file = memfd_create("partita", MFD_CLOEXEC);
  if (file < 0) return -1;
  std::snprintf(address.path.data(), address.path.size(), "/proc/%d/fd/%d", getpid(), file);
  if (ftruncate(file, static_cast<off_t>(address.bytes)) == 0) return file;
  close(file);
  return -1;
}

/// Addresses that nobody uses, from the boundary of a huge page on where they hold one.
std::byte* reserve(std::size_t bytes) {
  const std::size_t slack = bytes >= kernels::huge_page ? kernels::huge_page : 0;
  void* const all =
      mmap(nullptr, bytes + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(all);
  const std::size_t before =
      slack == 0 ? 0
                 : (slack - reinterpret_cast<std::uintptr_t>(all) % kernels::huge_page) % kernels::huge_page;
  if (before > 0) munmap(begin, before);
  if (slack > before) munmap(begin + before + bytes, slack - before);
  return begin + before;
}

}  // namespace

SharedMemory::SharedMemory(File kind, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  address_.bytes = (bytes + page - 1) / page * page;
  file_ = kind == File::unnamed ? make_unnamed(address_) : make_named(address_);
  struct stat status {};
  if (file_ < 0 || fstat(file_, &status) != 0) return;
  address_.device = status.st_dev;
  address_.inode = status.st_ino;
  if (!map()) hide();
}

SharedMemory::SharedMemory(const Address& address) : address_(address) {
  file_ = open(address.path.data(), O_RDWR | O_CLOEXEC);
  struct stat status {};
  if (file_ >= 0 && fstat(file_, &status) == 0 && status.st_dev == address.device &&
      status.st_ino == address.inode)
    map();
  if (file_ >= 0) close(std::exchange(file_, -1));
}

SharedMemory::~SharedMemory() {
  hide();
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

bool SharedMemory::map() {
  auto* const place = reserve(address_.bytes);
  if (!place) return false;
  if (mmap(place, address_.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_, 0) == MAP_FAILED) {
    munmap(place, address_.bytes);
    return false;
  }
  kernels::prefer_huge_pages(place, address_.bytes);
  bytes_ = {place, address_.bytes};
  return true;
}

SharedMemory::Address SharedMemory::address() const { return file_ >= 0 ? address_ : Address{}; }

void SharedMemory::hide() {
  if (file_ < 0) return;
  if (std::strncmp(address_.path.data(), folder_of_names, std::strlen(folder_of_names)) == 0)
    unlink(address_.path.data());
  close(std::exchange(file_, -1));
}

void SharedMemory::swap(SharedMemory& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
}

}  // namespace partita::comm
