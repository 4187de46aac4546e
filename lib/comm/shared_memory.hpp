/// Memory that processes of one host map together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace partita::comm {

/// Zeroed when it is made. Large pieces ask for huge pages. Empty where the host gives none.
class SharedMemory {
 public:
  /// `unnamed`: a file that others open through the process that made it, of any size that the host's memory
  /// allows, and gone with its last process. `named`: one of /dev/shm, also for processes that do not see
  /// each other in /proc, such as ranks in containers of their own.
  enum class File { unnamed, named };
  /// What another process opens it by, to be sent as it is.
  struct Address {
    std::array<char, 64> path{};
    std::uint64_t device = 0, inode = 0;  ///< the same path can be another file in another container
    std::uint64_t bytes = 0;
  };

  SharedMemory() = default;
  SharedMemory(File, std::size_t bytes);
  explicit SharedMemory(const Address&);
  ~SharedMemory();
  SharedMemory(SharedMemory&& other) noexcept { swap(other); }
  SharedMemory& operator=(SharedMemory&& other) noexcept {
    swap(other);
    return *this;
  }

  /// Of memory that this process made, until `hide`.
  [[nodiscard]] Address address() const;
  /// Once all have opened it: no other process can any more.
  void hide();
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  void swap(SharedMemory&) noexcept;
  bool map();
  int file_ = -1;
  Address address_;
  std::span<std::byte> bytes_;
};

}  // namespace partita::comm
