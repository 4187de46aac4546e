/// Creates, opens and names the shared memory of a host's ranks. Where it cannot be had, each rank is left
/// with its own block, which only itself can read.
#include "board.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>

namespace partita::comm {

SharedBlocks::~SharedBlocks() {
  if (blocks_) munmap(blocks_, bytes_);
}

bool SharedBlocks::map(int file) {
  void* const memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return false;
  blocks_ = static_cast<Block*>(memory);
  return true;
}

std::string SharedBlocks::create(std::size_t blocks) {
  bytes_ = blocks * sizeof(Block);
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::string name = "/partita-" + std::to_string(getpid()) + "-" + std::to_string(now);
  const int file = shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
  if (file < 0) return {};
  // Reserved, so that a full /dev/shm is seen here and not at the first store.
  if (posix_fallocate(file, 0, static_cast<off_t>(bytes_)) != 0) {
    close(file);
    remove_name(name);
    return {};
  }
  if (map(file)) return name;
  remove_name(name);
  return {};
}

bool SharedBlocks::open(const std::string& name, std::size_t blocks) {
  bytes_ = blocks * sizeof(Block);
  const int file = name.empty() ? -1 : shm_open(name.c_str(), O_RDWR, 0);
  return file >= 0 && map(file);
}

void SharedBlocks::remove_name(const std::string& name) { shm_unlink(name.c_str()); }

}  // namespace partita::comm
