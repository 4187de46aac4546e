/// Memory of devices that the ranks of a node reach in each other's processes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "partita/comm/communicator.hpp"
#include "partita/kernels/device.hpp"

namespace partita::device {

/// What this rank shares, and what of other ranks' is open here: each allocation once, however many buffers
/// lie in it.
class SharedMemory {
 public:
  /// Nothing is shared yet. Collective over `world`, as is its end: what is open is closed on all ranks of
  /// the node before any of them goes on to release what it shared.
  SharedMemory(kernels::Device&, comm::Communicator& world);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// From now on buffers in this allocation of the device have addresses; it outlives this. False, with why,
  /// where the device shares no memory.
  bool share(std::span<std::byte> allocation);
  [[nodiscard]] const std::string& why_not() const { return why_not_; }

  /// Of a view in shared memory; the same text reaches it from any rank of the node. Empty for an empty view.
  [[nodiscard]] std::string address(kernels::View) const;
  /// Where it is in this process; null for an empty address. Throws std::runtime_error.
  [[nodiscard]] std::byte* open(const std::string& address);

 private:
  struct Address {
    int rank = 0;
    std::uint32_t allocation = 0;
    std::int64_t offset = 0;
    kernels::Device::SharedMemory memory;
  };
  struct Allocation {
    std::span<std::byte> bytes;
    kernels::Device::SharedMemory memory;
  };
  static Address parse(const std::string&);

  kernels::Device& device_;
  int rank_;
  std::string why_not_;
  comm::SharedBuffer together_;  ///< its end waits for the ranks of the node
  std::vector<Allocation> mine_;
  std::map<std::pair<int, std::uint32_t>, std::byte*> open_;  ///< by rank and allocation
};

}  // namespace partita::device
