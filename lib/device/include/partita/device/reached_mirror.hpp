/// The mirror of a buffer that ranks of a node reach in the device's memory: their devices load from it and
/// store into it, this one's into theirs, beside the kernels.
#pragma once

#include <memory>
#include <vector>

#include "partita/comm/mirror.hpp"
#include "partita/device/shared_memory.hpp"

namespace partita::device {

class ReachedMirror final : public comm::SharedMirror {
 public:
  /// Both outlive the mirror; `on_device` lies in what `memory` shares.
  ReachedMirror(kernels::Device&, SharedMemory& memory, kernels::View on_device);

  [[nodiscard]] kernels::View host() const override { return on_device_; }
  [[nodiscard]] bool copies() const override { return false; }
  void plan_fetches(std::span<const topology::Range>) override {}
  void begin() override;
  [[nodiscard]] bool idle() override { return device_.reached(*begun_); }
  [[nodiscard]] bool fetched(std::size_t) override { return idle(); }
  void store(topology::Range) override {}
  void await() override;
  [[nodiscard]] bool caught_up() override { return device_.reached(*awaited_); }
  void release() override {}

  [[nodiscard]] std::string address() const override { return memory_.address(on_device_); }
  void open(int rank, const std::string& address) override;
  void load(topology::Range, std::span<const Source>, collective::Combine) override;
  void store_to(int rank, topology::Range) override;
  [[nodiscard]] bool moved() override { return device_.reached(*moved_); }

 private:
  /// `count` elements of another rank's buffer, from element `first`.
  [[nodiscard]] kernels::View at(int rank, std::int64_t first, std::int64_t count) const;

  kernels::Device& device_;
  SharedMemory& memory_;
  kernels::View on_device_;
  std::vector<std::byte*> reached_;  ///< by rank
  std::vector<kernels::ConstView> terms_;
  std::unique_ptr<kernels::Device::Event> begun_, moved_, awaited_;
};

}  // namespace partita::device
