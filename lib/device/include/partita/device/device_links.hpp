/// How buffers on a device reach other ranks, axis by axis, and the memory that this takes.
#pragma once

#include <map>
#include <optional>

#include "partita/collective/staging.hpp"
#include "partita/comm/axes.hpp"
#include "partita/device/shared_memory.hpp"

namespace partita::device {

class DeviceLinks {
 public:
  using Way = collective::DeviceMessages;
  /// The ranks of an axis reach each other's memory where all groups of it lie on a node each and every rank
  /// has opened a `sample` (an allocation of the device, outlives this) of the others'. Throws ConfigError on
  /// all ranks where `wanted` is `ipc` and some cannot. Collective over the axes; communicates for devices
  /// only.
  DeviceLinks(kernels::Device&, comm::Axes&, Way wanted, std::span<std::byte> sample);

  /// Never `automatic`; the same on all ranks.
  [[nodiscard]] Way along(topology::Axis axis) const { return ways_.at(axis); }
  /// "ipc", or where axes differ "data: ipc, world: staged"; with ", all-reduces staged" where reductions by
  /// this algorithm do not reach other memory. Empty for a host or a single rank.
  [[nodiscard]] std::string describe(collective::Algorithm of_reductions) const;

  /// Makes buffers in an allocation reachable, before they are planned with.
  void share(std::span<std::byte> allocation);
  /// Of buffers along an axis whose way is `ipc`.
  [[nodiscard]] SharedMemory& memory() { return *memory_; }
  /// Ends the planning of messages, on every axis. Collective over the axes.
  void connect();

 private:
  /// Why this rank does not reach all others of an axis; empty where it does.
  std::string why_not(comm::Communicator& axis, kernels::View sample);

  kernels::Device& device_;
  comm::Axes& axes_;
  std::optional<SharedMemory> memory_;
  std::map<topology::Axis, Way> ways_;
};

}  // namespace partita::device
