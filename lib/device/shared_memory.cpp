/// An address that other processes can open names rank, allocation and offset beside the device's handle: an
/// allocation is opened once, however many buffers lie in it.
#include "partita/device/shared_memory.hpp"

#include <cstring>

#include "partita/base/error.hpp"

namespace partita::device {

SharedMemory::SharedMemory(kernels::Device& device, comm::Communicator& world)
    : device_(device), rank_(world.rank()), together_(world.allocate_shared(kernels::Bytes(64))) {}

/// Where an exception unwinds this rank nobody is waited for: the job, or this part of it, is over. What it
/// goes on to release may then still be open on other ranks, which unwind too once they hear of it.
SharedMemory::~SharedMemory() {
  if (open_.empty()) return;
  try {
    device_.synchronize();  // a load may be under way
  } catch (const std::exception&) {
    // The device has failed; where that was first seen it was reported.
  }
  for (const auto& [of, memory] : open_)
    device_.close(memory);
}

bool SharedMemory::share(std::span<std::byte> allocation) {
  if (allocation.empty()) return true;
  for (const auto& known : mine_)
    if (known.bytes.data() == allocation.data()) return true;
  try {
    const auto memory = device_.share(allocation.data());
    if (!memory.available) why_not_ = "the device shares no memory between processes";
    if (memory.available) mine_.push_back({.bytes = allocation, .memory = memory});
    return memory.available;
  } catch (const std::runtime_error& error) {
    why_not_ = error.what();
    return false;
  }
}

std::string SharedMemory::address(kernels::View view) const {
  static_assert(std::is_trivially_copyable_v<Address>);
  if (view.empty()) return {};
  const auto* const begin = static_cast<const std::byte*>(view.data());
  for (std::size_t i = 0; i < mine_.size(); ++i) {
    const auto& [bytes, memory] = mine_[i];
    if (begin < bytes.data() || begin + view.bytes().value() > bytes.data() + bytes.size()) continue;
    Address address;
    std::memset(static_cast<void*>(&address), 0, sizeof(address));
    address.rank = rank_;
    address.allocation = static_cast<std::uint32_t>(i);
    address.offset = begin - bytes.data();
    address.memory = memory;
    return {reinterpret_cast<const char*>(&address), sizeof(address)};
  }
  throw base::ContractError("a buffer that others reach lies in shared memory");
}

SharedMemory::Address SharedMemory::parse(const std::string& text) {
  base::expect(text.size() == sizeof(Address), "an address of shared memory", text.size());
  Address address;
  std::memcpy(&address, text.data(), sizeof(address));
  return address;
}

std::byte* SharedMemory::open(const std::string& text) {
  if (text.empty()) return nullptr;
  const Address address = parse(text);
  if (address.rank == rank_) return mine_[address.allocation].bytes.data() + address.offset;
  auto& memory = open_[{address.rank, address.allocation}];
  try {
    if (memory == nullptr) memory = device_.open(address.memory);
  } catch (...) {
    open_.erase({address.rank, address.allocation});
    throw;
  }
  return memory + address.offset;
}

}  // namespace partita::device
